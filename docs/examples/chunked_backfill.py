"""Chunked backfill: 300,000 rows of a SQLite database are mended while others read it.

    python docs/examples/chunked_backfill.py

Observations name transmitters; the backfill writes each transmitter's last sight. Some transmitters were
never seen: no statement can mend them, and the walk passes them by. Readers go on meanwhile and are timed:
alone, beside the chunks, and beside the same work in one statement.
"""

import argparse
import json
import sqlite3
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from serving import ask, serving

from progress_ledger.ledger import open_run
from progress_ledger.ledger.chunks import chunks

MEND = """UPDATE transmitter SET last_seen = (SELECT max(at) FROM observation WHERE transmitter = id)
WHERE last_seen = 0 AND EXISTS (SELECT 1 FROM observation WHERE transmitter = id)"""
TOUCHED = "last_seen = 0 AND EXISTS (SELECT 1 FROM observation WHERE transmitter = transmitter.id)"


def build(path: str, rows: int) -> None:
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("CREATE TABLE transmitter (id INTEGER PRIMARY KEY, last_seen INTEGER NOT NULL)")
        database.execute("CREATE TABLE observation (transmitter INTEGER, at INTEGER)")
        database.executemany("INSERT INTO transmitter VALUES (?, 0)", ((n,) for n in range(1, rows + 1)))
        # One in a hundred was never seen.
        database.executemany(
            "INSERT INTO observation VALUES (?, ?)", ((n, n * 7) for n in range(1, rows + 1) if n % 100)
        )
        database.execute("CREATE INDEX seen ON observation (transmitter, at)")
    database.close()


class Clients:
    """Somebody who writes a row and reads it back, timed, for as long as it takes."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._over = threading.Event()
        self.seconds: list[float] = []
        self._thread = threading.Thread(target=self._loop)

    def __enter__(self) -> "Clients":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _loop(self) -> None:
        database = sqlite3.connect(self._path, timeout=60)
        while not self._over.is_set():
            began = time.perf_counter()
            with database:
                database.execute("INSERT INTO observation VALUES (0, 1)")
            database.execute("SELECT count(*) FROM observation WHERE transmitter = 0").fetchone()
            self.seconds.append(time.perf_counter() - began)
            time.sleep(0.002)
        database.close()

    @property
    def p95(self) -> float:
        """Milliseconds."""
        return sorted(self.seconds)[len(self.seconds) * 95 // 100] * 1e3


def backfill(path: str, db: str, run_id: str) -> None:
    with sqlite3.connect(path, timeout=60) as database:
        # Only what will be touched is the total; the transmitters that were never seen are not.
        (total,) = database.execute(f"SELECT count(*) FROM transmitter WHERE {TOUCHED}").fetchone()
        with open_run(
            "backfill", ledger=db, run_id=run_id, total=total, unit="rows", labels={"gate": "last-seen"}
        ) as run:
            for low, high in chunks(database, "transmitter", key="id", where="last_seen = 0", run=run):
                mended = database.execute(f"{MEND} AND id > ? AND id <= ?", (low, high))
                database.commit()
                run.advance(mended.rowcount)
    database.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rows", type=int, default=300_000)
    parser.add_argument("--json", action="store_true", help="print what was found as JSON only")
    arguments = parser.parse_args()
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        path, db = str(Path(folder) / "data.db"), str(Path(folder) / "progress.db")
        build(path, arguments.rows)
        with Clients(path) as alone:
            time.sleep(1.0)
        with serving(db) as url:
            found["gate_before"] = ask(f"{url}/healthz").body
            gates: list[Any] = []
            over = threading.Event()
            watcher = threading.Thread(target=lambda: watch(url, over, gates))
            watcher.start()
            with Clients(path) as beside:
                backfill(path, db, "chunked")
            over.set()
            watcher.join()
            found["gates"] = [gate for gate in gates if gate["gated"]][:1]
            found["gate_after"] = ask(f"{url}/healthz").body
            found["run"] = ask(f"{url}/v1/runs/chunked").body
            backfill(path, db, "again")  # only what cannot be mended is left, and it ends
            found["again"] = ask(f"{url}/v1/runs/again").body
        with sqlite3.connect(path) as database:
            (found["left"],) = database.execute(
                "SELECT count(*) FROM transmitter WHERE last_seen = 0"
            ).fetchone()
            database.execute("UPDATE transmitter SET last_seen = 0")
        database.close()
        with Clients(path) as blocked, sqlite3.connect(path, timeout=60) as database:
            database.execute(MEND)
            database.commit()
        database.close()
    found["p95_ms"] = {"alone": alone.p95, "chunks": beside.p95, "one_statement": blocked.p95}
    found["worst_ms"] = {
        "alone": max(alone.seconds) * 1e3,
        "chunks": max(beside.seconds) * 1e3,
        "one_statement": max(blocked.seconds) * 1e3,
    }
    if arguments.json:
        print(json.dumps(found))
        return
    run = found["run"]
    print(f"{run['status']}: {run['done']:,} of {run['total']:,} rows; {found['left']:,} cannot be mended")
    for name in ("alone", "chunks", "one_statement"):
        p95, worst = found["p95_ms"][name], found["worst_ms"][name]
        print(f"write and read, {name:14} p95 {p95:8.1f} ms, worst {worst:8.1f} ms")
    print("health page meanwhile:", found["gates"])


def watch(url: str, over: threading.Event, gates: list[Any]) -> None:
    while not over.wait(0.05):
        gates.append(ask(f"{url}/healthz").body)


if __name__ == "__main__":
    main()
