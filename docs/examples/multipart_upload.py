"""Multipart upload: bytes by callback, a part that fails does not advance, many uploads asked about at once.

    python docs/examples/multipart_upload.py

A small HTTP server of the example's own takes parts by PUT. The callback is absolute, ``run.set(uploaded,
total)``, called after a part has arrived there: a part that is sent again counts once.
"""

import argparse
import http.client
import json
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

from serving import ask, serving

from progress_ledger.ledger import open_run

PART = 1 << 16
Progress = Callable[[int, int], None]


class Store(BaseHTTPRequestHandler):
    """Keeps parts by their path. ``/flaky/2`` fails the first time, ``/broken/2`` always."""

    parts: ClassVar[dict[str, bytes]] = {}
    failed: ClassVar[set[str]] = set()

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        fails = self.path == "/broken/2" or (self.path == "/flaky/2" and self.path not in self.failed)
        if fails:
            self.failed.add(self.path)
        else:
            self.parts[self.path] = body
        self.send_response(503 if fails else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        pass


@contextmanager
def store() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Store) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def upload(port: int, name: str, content: bytes, progress: Progress | None = None, tries: int = 2) -> None:
    """Send ``content`` in parts. Raises OSError when a part does not arrive."""
    uploaded = 0
    for number, start in enumerate(range(0, len(content), PART), 1):
        part = content[start : start + PART]
        for attempt in range(1, tries + 1):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            connection.request("PUT", f"/{name}/{number}", part)
            status = connection.getresponse().status
            connection.close()
            if status == 200:
                break
            if attempt == tries:
                raise OSError(f"part {number} of {name}: the store answered {status}")
        uploaded += len(part)
        if progress is not None:
            progress(uploaded, len(content))


def report(db: str, port: int, name: str, content: bytes, said: list[int]) -> None:
    with open_run("upload", ledger=db, run_id=name, scope=f"file:{name}", unit="bytes") as run:

        def progress(uploaded: int, total: int) -> None:
            run.set(uploaded, total)
            run.flush()  # for the example only: so that each part can be looked at in the log
            said.append(uploaded)

        upload(port, name, content, progress)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--parts", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="print what was found as JSON only")
    arguments = parser.parse_args()
    content = bytes(range(256)) * (PART // 256) * arguments.parts
    found: dict[str, Any] = {"said": {}}
    with tempfile.TemporaryDirectory() as folder, store() as port:
        db = str(Path(folder) / "progress.db")
        for name in ("plain", "flaky", "broken"):
            found["said"][name] = []
            with suppress(OSError):
                report(db, port, name, content, found["said"][name])
        report(db, port, "small", b"one part", found["said"].setdefault("small", []))
        upload(port, "nobody-looks", content)  # without a callback nothing is counted, and nothing costs
        with serving(db) as url:
            found["batch"] = ask(f"{url}/v1/runs/batch?ids=small,none,broken,small,plain").body
            found["wrong"] = [
                (answer.status, answer.body["code"])
                for answer in (
                    ask(f"{url}/v1/runs/batch?ids={ids}")
                    for ids in ("", "a,,b", "a/b", ",".join(f"r{n}" for n in range(101)))
                )
            ]
            found["unknown"] = ask(f"{url}/v1/runs/none").status
            found["log"] = ask(f"{url}/v1/runs/broken/events").body["events"]
            found["flaky"] = ask(f"{url}/v1/runs/flaky").body
        found["stored"] = len(Store.parts)
    if arguments.json:
        print(json.dumps(found))
        return
    for run in found["batch"]["runs"]:
        print(f"{run['run_id']:8} {run['status']:10} {run['done']:>9,} bytes  {run['error'] or ''}")
    print("missing:", found["batch"]["missing"])


if __name__ == "__main__":
    main()
