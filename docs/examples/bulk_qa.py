"""Bulk QA: four workers check real files, one run at a time, and a killed run is seen as interrupted.

    python docs/examples/bulk_qa.py

Every Python file of this interpreter's standard library is compiled. A file that compiles has passed, one
that does not has failed its check, one that cannot be read has failed to be processed, and one that
disappeared since the work list was made is skipped: at every moment the four add up to what is done.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import sysconfig
import tempfile
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from serving import ask, serving

from progress_ledger.ledger import OpenRun, SlotTaken, open_run

SLOT = "bulk_qa"


def check(path: Path) -> str:
    """The outcome of one file, from this check alone."""
    if not path.exists():
        return "skipped"
    try:
        source = path.read_bytes()
    except OSError:
        return "processing_failed"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(source, str(path), "exec")
    except (SyntaxError, ValueError):
        return "qa_failed"
    return "passed"


def work(run: OpenRun, paths: list[Path]) -> None:
    def one(path: Path) -> None:
        run.advance(1, counts={check(path): 1})

    with ThreadPoolExecutor(4) as workers:
        for _ in workers.map(one, paths):
            pass


def work_list(limit: int) -> list[Path]:
    """Chosen once: files that come later are not part of the run, files that go are skipped."""
    library = Path(sysconfig.get_path("stdlib"))
    found = sorted(path for path in library.rglob("*.py") if "site-packages" not in path.parts)
    return [*found[:limit], library / "deleted_since.py"]


def submit(db: str, limit: int) -> str:
    paths = work_list(limit)
    with open_run("bulk_qa", ledger=db, slot=SLOT, total=len(paths), unit="files") as run:
        work(run, paths)
    return run.run_id


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--limit", type=int, default=600, help="files to check")
    parser.add_argument("--json", action="store_true", help="print what was found as JSON only")
    parser.add_argument("--submit", metavar="DB", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.submit:
        hang(arguments.submit)
        return
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        db = str(Path(folder) / "progress.db")
        with serving(db) as url:
            found["none"] = ask(f"{url}/v1/runs/current?kind=bulk_qa").status
            # A producer in a process of its own, killed in the middle.
            child = subprocess.Popen(
                [sys.executable, __file__, "--submit", db], stdout=subprocess.PIPE, text=True
            )
            assert child.stdout is not None
            killed = child.stdout.readline().strip()
            found["current"] = ask(f"{url}/v1/runs/current?kind=bulk_qa").body["run_id"] == killed
            try:
                open_run("bulk_qa", ledger=db, slot=SLOT)
            except SlotTaken as taken:
                found["second_submit"] = str(taken)
            found["second_submit_http"] = ask(f"{url}/v1/runs", {"kind": "bulk_qa", "slot": SLOT})
            os.kill(child.pid, signal.SIGKILL)
            child.wait()
            child.stdout.close()
            # The next start of a producer of this owner finds the dead one; its counts are kept.
            run_id = submit(db, arguments.limit)
            found["killed"] = ask(f"{url}/v1/runs/{killed}").body
            found["run"] = ask(f"{url}/v1/runs/{run_id}").body
            # No work is a completed run at once.
            found["empty"] = ask(f"{url}/v1/runs/{empty(db)}").body
    if arguments.json:
        print(json.dumps(found))
        return
    killed_run, run = found["killed"], found["run"]
    print("second submit:", found["second_submit"])
    print("the same over HTTP:", *found["second_submit_http"][:1], found["second_submit_http"][1]["code"])
    print("killed:", killed_run["status"], killed_run["counts"])
    print("done:", run["status"], f"{run['done']}/{run['total']}", run["counts"])


def hang(db: str) -> None:
    """Submitted and then stuck, so that it can be killed in the middle."""
    paths = work_list(50)
    with open_run("bulk_qa", ledger=db, slot=SLOT, total=1_000) as run:
        work(run, paths)
        run.flush()
        print(run.run_id, flush=True)
        signal.pause()


def empty(db: str) -> str:
    with open_run("bulk_qa", ledger=db, slot=SLOT, total=0) as run:
        pass
    return run.run_id


if __name__ == "__main__":
    main()
