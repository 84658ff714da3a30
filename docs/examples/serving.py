"""What the examples share: a server on a ledger file, and asking it. Only the standard library."""

import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple


class Answer(NamedTuple):
    status: int
    body: Any


@contextmanager
def serving(db: str) -> Iterator[str]:
    """``progress-ledger serve`` on a free port, as a process of its own; its address."""
    code = "import sys; from progress_ledger.api.cli import main; sys.exit(main(sys.argv[1:]))"
    with subprocess.Popen(
        [sys.executable, "-c", code, "serve", "--db", db, "--port", "0"], stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        try:
            yield server.stdout.readline().strip().rpartition(" ")[2]
        finally:
            server.terminate()


def ask(url: str, body: object = None) -> Answer:
    """GET, or POST when there is a body; a refusal is an answer like any other."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"} if data else {})
    try:
        with urllib.request.urlopen(request, timeout=20) as reply:
            status, text = reply.status, reply.read()
    except urllib.error.HTTPError as refusal:
        with refusal:
            status, text = refusal.code, refusal.read()
    return Answer(status, json.loads(text) if text else None)


def frames(url: str, last_id: str | None = None) -> Iterator[tuple[str, str, Any]]:
    """(event, id, data) of an SSE stream until the server ends it."""
    request = urllib.request.Request(url, headers={"Last-Event-ID": last_id} if last_id else {})
    with urllib.request.urlopen(request, timeout=60) as stream:
        frame: dict[str, str] = {}
        for raw in stream:
            line = raw.decode().rstrip("\n")
            name, _, value = line.partition(":")
            if line == "" and "data" in frame:
                yield frame.get("event", "message"), frame.get("id", ""), json.loads(frame["data"])
                frame = {}
            elif name:
                frame[name] = value.removeprefix(" ")
