"""Every benchmark, one after another, and the page about them: ``python -m benchmarks``.

Each runs as a program of its own, so that none leaves anything behind for the next. Their reports go to
``docs/explanation/performance.json``, the page and its picture stand beside it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from .page import Question, page, picture

__all__ = ("QUESTIONS", "main")

QUESTIONS: dict[str, str] = {
    "append": "How fast are events appended, beside what the disk allows?",
    "projection": "How fast is the log folded again?",
    "start": "How long is a start with many finished runs?",
    "one_tick": "How long does one tick take to a reader?",
    "fanout": "How many readers can one server feed?",
    "resume": "How fast does a reader that was away catch up?",
    "producer": "What does reporting cost a job?",
    "audit": "What does a verifiable history cost?",
    "eta": "How good are the ETAs?",
}
"""Benchmarks by module, in the order of the page, and what each one asks."""

DOCS = Path(__file__).parents[1] / "docs" / "explanation"


def main() -> int:
    """Run those asked for; 1 when one of them could not be run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*QUESTIONS, []], help="only these (default: all)")
    parser.add_argument("--docs", type=Path, default=DOCS, help="where the page goes (%(default)s)")
    parser.add_argument("--timeout", type=float, default=1_800, help="seconds for one (%(default)s)")
    arguments = parser.parse_args()
    kept = arguments.docs / "performance.json"
    reports = json.loads(kept.read_text("utf-8")) if kept.exists() else {}
    failed = False
    for name in arguments.names or QUESTIONS:
        print(f"== {name}", flush=True)
        report = _run(name, arguments.timeout)
        failed |= report is None
        if report is not None:
            reports[name] = report
            for bar in report["bars"]:
                print(f"   {'ok  ' if bar['ok'] else 'MISS'} {bar['name']}: {bar['ratio']:.3g}")
        kept.write_text(json.dumps(reports, indent=1) + "\n", "utf-8")
    questions = [Question(name, asks, reports.get(name)) for name, asks in QUESTIONS.items()]
    (arguments.docs / "performance.md").write_text(page(questions), "utf-8")
    (arguments.docs / "performance.svg").write_text(picture(questions), "utf-8")
    print(f"wrote {arguments.docs / 'performance.md'}")
    return 1 if failed else 0


def _run(name: str, timeout: float) -> dict[str, Any] | None:
    command = [sys.executable, "-m", f"benchmarks.{name}", "--json"]
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
