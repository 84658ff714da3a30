"""A server of our own as a process: started, killed, and started again at the same address."""

from __future__ import annotations

import contextlib
import select
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx

START_SECONDS = 20.0


class Site:
    """``progress-ledger serve`` over one ledger file. ``url`` ends without a slash and survives a restart."""

    def __init__(self, db: Path) -> None:
        self.db = db
        self.url = ""
        self._port = "0"
        self._process: subprocess.Popen[str] | None = None
        self._client = httpx.Client(timeout=10, trust_env=False)

    def start(self) -> Site:
        program = Path(sys.executable).with_name("progress-ledger")
        command = [str(program), "serve", "--db", str(self.db)]
        self._process = subprocess.Popen(
            [*command, "--port", self._port, "--durability", "process"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        readable, _, _ = select.select([self._process.stdout], [], [], START_SECONDS)
        line = self._process.stdout.readline() if readable else ""
        if not line.startswith("listening on "):
            self.kill()
            raise AssertionError(f"the server said {line!r}")
        self.url = line.split()[-1]
        self._port = self.url.rpartition(":")[2]
        return self

    def kill(self) -> None:
        """End it at once, as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            if self._process.stdout is not None:
                self._process.stdout.close()
            self._process = None

    def terminate(self) -> None:
        """Ask it to stop and wait until it has."""
        if self._process is not None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(10)
            self.kill()

    def close(self) -> None:
        self.kill()
        self._client.close()

    def ask(self, method: str, path: str, **options: Any) -> Any:
        """A request; its JSON. Raises for every refusal."""
        answer = self._client.request(method, self.url + path, **options)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def run(self, run_id: str, **spec: Any) -> Any:
        return self.ask("POST", "/v1/runs", json={"run_id": run_id, "kind": "job", **spec})

    def add(self, run_id: str, type_name: str, **data: Any) -> Any:
        events = [{"type": type_name, "data": data}]
        return self.ask("POST", f"/v1/runs/{run_id}/events", json={"events": events})["run"]
