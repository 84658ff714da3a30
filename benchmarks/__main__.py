"""Every benchmark, one after another, and the page about them: ``python -m benchmarks``.

Each runs as a program of its own, so that none leaves anything behind for the next. Their reports go to
``docs/explanation/performance.json``, the page and its picture stand beside it. With ``--quick`` all of them
run on small sizes in a few minutes: a trial, whose figures say little and are kept nowhere.
"""

from __future__ import annotations

import argparse
import ast
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from .page import Question, page, picture

__all__ = ("QUESTIONS", "QUICK", "explanation", "main")

QUESTIONS: dict[str, str] = {
    "append": "How fast are events appended, beside what the disk allows?",
    "append_peers": "How fast are events appended, beside other packages?",
    "projection": "How fast is the log folded again, beside only reading it?",
    "projection_peers": "How fast is the log folded again, beside another package?",
    "live_fold": "What does the live fold cost, and how far behind is it?",
    "start": "How long is a start with many finished runs?",
    "reads": "How many snapshots does a server answer?",
    "import_readers": "Do readers notice an import?",
    "growth": "Does it stay as fast in a file that grows?",
    "one_tick": "How long does one tick take to a reader?",
    "fanout": "How many readers can one server feed?",
    "resume": "How fast does a reader that was away catch up?",
    "producer": "What does reporting cost a job?",
    "audit": "What does a verifiable history cost?",
    "eta": "How good are the ETAs?",
}
"""Benchmarks by module, in the order of the page, and what each one asks."""

QUICK: dict[str, str] = {
    "append": "--repeat 1 --events 2000",
    "append_peers": "--repeat 1 --events 2000",
    "projection": "--repeat 1 --events 50000 --runs 50",
    "projection_peers": "--repeat 1 --events 50000 --runs 50 --peer-events 5000 --durable 500",
    "live_fold": "--repeat 1 --events 5000",
    "start": "--repeat 1 --events 50000 --runs 5000",
    "reads": "--repeat 1 --seconds 1",
    "import_readers": "--repeat 1 --events 50000 --idle 2",
    "growth": "--repeat 1 --sizes 10000 50000 --events 1280",
    "one_tick": "--repeat 1 --events 200",
    "fanout": "--repeat 1 --readers 100 --deliveries 20000",
    "resume": "--repeat 1",
    "producer": "--repeat 1 --iterations 100000 --calls 50000",
    "audit": "--repeat 1 --events 40200 --appends 6400",
    "eta": "",
}
"""Options with which each one is tried in seconds."""

DOCS = Path(__file__).parents[1] / "docs" / "explanation"


def main() -> int:
    """Run those asked for; 1 when one of them could not be run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*QUESTIONS, []], help="only these (default: all)")
    parser.add_argument("--quick", action="store_true", help="small sizes, written only where --docs says")
    parser.add_argument("--docs", type=Path, help="where the page goes (default: docs/explanation)")
    parser.add_argument("--timeout", type=float, default=3_600, help="seconds for one (%(default)s)")
    arguments = parser.parse_args()
    docs: Path | None = arguments.docs or (None if arguments.quick else DOCS)
    if docs is not None:
        docs.mkdir(parents=True, exist_ok=True)
    kept = None if docs is None else docs / "performance.json"
    reports = json.loads(kept.read_text("utf-8")) if kept is not None and kept.exists() else {}
    failed = False
    for name in arguments.names or QUESTIONS:
        print(f"== {name}", flush=True)
        began = time.monotonic()
        report = _run(name, QUICK[name].split() if arguments.quick else [], arguments.timeout)
        failed |= report is None
        if report is None:
            continue
        for bar in report["bars"]:
            print(f"   {'ok  ' if bar['ok'] else 'MISS'} {bar['name']}: {bar['ratio']:.3g}")
        print(f"   took {time.monotonic() - began:.0f} s", flush=True)
        reports[name] = report | {"trial": True} if arguments.quick else report
        if kept is not None:
            kept.write_text(json.dumps(reports, indent=1) + "\n", "utf-8")
    if docs is not None:
        questions = [
            Question(name, asks, reports.get(name), explanation(name)) for name, asks in QUESTIONS.items()
        ]
        (docs / "performance.md").write_text(page(questions), "utf-8")
        (docs / "performance.svg").write_text(picture(questions), "utf-8")
        print(f"wrote {docs / 'performance.md'}")
    return 1 if failed else 0


def explanation(name: str) -> str:
    """What a benchmark says about itself below its question, as Markdown."""
    source = (Path(__file__).parent / f"{name}.py").read_text("utf-8")
    told = ast.get_docstring(ast.parse(source)) or ""
    return told.partition("\n")[2].strip().replace("``", "`")


def _run(name: str, options: list[str], timeout: float) -> dict[str, Any] | None:
    command = [sys.executable, "-m", f"benchmarks.{name}", "--json", *options]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired:
        print(f"   {name} took longer than {timeout:.0f} s", file=sys.stderr)
        return None
    try:
        report: dict[str, Any] = json.loads(done.stdout)
    except json.JSONDecodeError:
        print(done.stderr[-2_000:], file=sys.stderr)
        return None
    return report


if __name__ == "__main__":
    sys.exit(main())
