"""Staged batch: a zip of answer sheets goes through seven stages, two of its processes tick one run, and
two API servers stream it.

    python docs/examples/staged_batch.py

Each stage starts at 0 and the run's overall percent never goes down. A client that joins late and one that
comes after the end see the same end, and then the stream is over.
"""

import argparse
import csv
import itertools
import json
import multiprocessing
import sqlite3
import tempfile
import threading
import time
import zipfile
from pathlib import Path
from typing import Any

from serving import ask, frames, serving

from progress_ledger.ledger import OpenRun, open_run

STAGES = [
    {"name": "uploading", "unit": "bytes", "weight": 33},
    {"name": "extracting", "weight": 96},
    {"name": "organizing", "weight": 4},
    {"name": "processing", "unit": "sheets", "weight": 136},
    {"name": "collecting", "weight": 19},
    {"name": "generating_csv", "weight": 8},
    {"name": "loading_database", "weight": 43},
    {"name": "cleanup", "weight": 19},
]


def mark(sheet: str) -> tuple[str, int]:
    answers = Path(sheet).read_text("ascii").split()
    return Path(sheet).stem, sum(answer == "b" for answer in answers)


def process(run: OpenRun, sheets: list[str], out: str) -> None:
    """In a process of its own: what it advances is added to the one run."""
    marks: list[tuple[str, int]] = []
    for sheet in sheets:
        marks.append(mark(sheet))
        run.advance(1)
        time.sleep(0.001)
    Path(out).write_text(json.dumps(marks))


def batch(run: OpenRun, archive: Path, folder: Path) -> None:
    with run.stage("uploading", total=archive.stat().st_size):
        incoming = folder / "incoming.zip"
        with archive.open("rb") as source, incoming.open("wb") as target:
            while piece := source.read(1 << 14):
                target.write(piece)
                run.advance(len(piece))
    with zipfile.ZipFile(incoming) as zipped, run.stage("extracting", total=len(zipped.namelist())):
        for name in zipped.namelist():
            zipped.extract(name, folder / "sheets")
            run.advance(1)
    with run.stage("organizing"):
        sheets = sorted(str(path) for path in (folder / "sheets").rglob("*.txt"))
    with run.stage("processing", total=len(sheets)):  # known only now
        context = multiprocessing.get_context("spawn")
        outs = [str(folder / f"marks{number}.json") for number in range(2)]
        halves = (sheets[::2], sheets[1::2])
        workers = [
            context.Process(target=process, args=(run, half, out))
            for half, out in zip(halves, outs, strict=True)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
            if worker.exitcode:
                raise RuntimeError(f"a worker ended with {worker.exitcode}")
    marks: list[tuple[str, int]] = []
    with run.stage("collecting", total=len(outs)):
        for out in outs:
            marks += [tuple(each) for each in json.loads(Path(out).read_text())]
            run.advance(1)
    with run.stage("generating_csv"), (folder / "marks.csv").open("w", newline="") as file:
        csv.writer(file).writerows(sorted(marks))
    with run.stage("loading_database", total=len(marks)):
        database = sqlite3.connect(folder / "marks.db")
        with database:
            database.execute("CREATE TABLE mark (sheet TEXT PRIMARY KEY, right INTEGER)")
            database.executemany("INSERT INTO mark VALUES (?, ?)", marks)
        run.advance(database.execute("SELECT count(*) FROM mark").fetchone()[0])
        database.close()
    with run.stage("cleanup"):
        incoming.unlink()


def make(folder: Path, sheets: int) -> Path:
    archive = folder / "upload.zip"
    with zipfile.ZipFile(archive, "w") as zipped:
        for number in range(sheets):
            zipped.writestr(f"class{number % 7}/sheet{number:05}.txt", " ".join("abcd"[number % 4] * 40))
    return archive


class Viewer(threading.Thread):
    """A client that follows a run to its end."""

    def __init__(self, url: str, run_id: str) -> None:
        super().__init__()
        self.url = f"{url}/v1/runs/{run_id}/stream"
        self.seen: list[tuple[str, str, Any]] = []
        self.start()

    def run(self) -> None:
        self.seen.extend(frames(self.url))

    @property
    def summary(self) -> dict[str, Any]:
        """Versions are without a hole, and no percent is below the one before."""
        versions = [data["event"]["version"] for _, _, data in self.seen if "event" in data]
        percents = [
            data["run"]["percent"]
            for _, _, data in self.seen
            if "run" in data and data["run"].get("percent") is not None
        ]
        return {
            "first": [name for name, _, _ in self.seen[:2]],
            "last": self.seen[-1][0],
            "final": self.seen[-1][2].get("final"),
            "terminals": sum(bool(data.get("final")) for _, _, data in self.seen),
            "holes": sum(after - before != 1 for before, after in itertools.pairwise(versions)),
            "falls": sum(after < before for before, after in itertools.pairwise(percents)),
            "percent": percents[-1],
            "since": next(data["run"]["version"] for name, _, data in self.seen if name == "snapshot"),
            "events": len(versions),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sheets", type=int, default=600)
    parser.add_argument("--json", action="store_true", help="print what was found as JSON only")
    arguments = parser.parse_args()
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        db = str(folder / "progress.db")
        archive = make(folder, arguments.sheets)
        with serving(db) as first, serving(db) as second:
            with open_run("batch", ledger=db, run_id="b1", stages=STAGES) as run:
                viewers = [Viewer(first, "b1"), Viewer(second, "b1")]
                batch(run, archive, folder)
                late = Viewer(second, "b1")
            for viewer in (*viewers, late):
                viewer.join(30)
            after = Viewer(first, "b1")
            after.join(30)
            (folder / "bad.zip").write_bytes(b"no zip")
            try:
                with open_run("batch", ledger=db, run_id="b2", stages=STAGES) as run:
                    batch(run, folder / "bad.zip", folder)
            except zipfile.BadZipFile:
                pass
            found["viewers"] = [viewer.summary for viewer in (*viewers, late, after)]
            found["run"] = ask(f"{second}/v1/runs/b1").body
            found["failed"] = ask(f"{second}/v1/runs/b2").body
            found["types"] = [
                event["type"] for event in ask(f"{first}/v1/runs/b1/events?limit=1000").body["events"]
            ]
    if arguments.json:
        print(json.dumps(found))
        return
    for stage in found["run"]["stages"]:
        print(f"{stage['name']:17} {stage['status']:8} {stage['done']}/{stage['total']}")
    for who, summary in zip(("server 1", "server 2", "late", "after the end"), found["viewers"], strict=True):
        print(f"{who:14} {summary}")
    print("failed:", found["failed"]["stage"], found["failed"]["percent"], found["failed"]["error"])


if __name__ == "__main__":
    main()
