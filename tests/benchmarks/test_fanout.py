"""The benchmark of the fan-out runs, and its servers do what they are compared for."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from benchmarks.streams import servers
from benchmarks.streams.load import Readers
from tests import tree

CORE = min(os.sched_getaffinity(0))


def test_it_prints_one_object_and_tells_what_is_under_way_beside_it() -> None:
    command = [sys.executable, "-m", "benchmarks.fanout", "--json", "--repeat", "1"]
    command += ["--readers", "20", "--deliveries", "200", "--flood", "1000"]
    done = subprocess.run(command, cwd=tree.ROOT, capture_output=True, text=True, timeout=50, check=True)
    report = json.loads(done.stdout)
    assert {bar["bar"] for bar in report["bars"]} == {0.6, 3, 20, 0.5, 1}
    values = {row["name"]: row["value"] for row in report["rows"]}
    assert values["ledger, 20 readers, CPU of an event"] > 0
    assert values["ledger / Protocol that stores, 20 readers, one at a time, per server CPU second"] > 0
    assert "sse-starlette, 20 readers" in done.stderr


def test_the_protocol_that_stores_has_every_event_in_its_file(tmp_path: Path) -> None:
    file = tmp_path / "protocol.db"
    with servers.protocol(CORE, store=file) as server:
        readers = Readers(server, 2)
        server.publish(3)
        readers.until(readers.base + 3)
        readers.close()
    with closing(sqlite3.connect(file)) as database:
        assert database.execute("SELECT count(*), min(length(body)) > 150 FROM event").fetchone() == (3, 1)


def test_the_processor_time_of_a_server_is_counted_finely() -> None:
    with servers.protocol(CORE) as server:
        before = server.cpu
        server.publish(1)
        assert 0 < server.cpu - before < 1
