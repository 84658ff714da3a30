"""Start and stop the servers that are compared, each as one process on one core."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from benchmarks.streams.peers import data_of

__all__ = ("NCHAN", "Server", "ledger", "nchan", "nchan_reason", "protocol", "sse_starlette")

NCHAN = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")
_STARTING = 20.0

_CONFIGURATION = """
load_module {module};
daemon off;
master_process off;
worker_processes 1;
pid {folder}/pid;
error_log {folder}/error.log error;
events {{ worker_connections 20000; use epoll; multi_accept on; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  nchan_shared_memory_size 512M;
  keepalive_timeout 300s;
  keepalive_requests 1000000;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location = /publish {{ nchan_publisher; nchan_channel_id bench; nchan_message_buffer_length 20000;
                           nchan_message_timeout 1h; }}
    location = /stream {{ nchan_subscriber eventsource; nchan_channel_id bench;
                          nchan_subscriber_first_message newest; }}
  }}
}}
"""


class Draining(Protocol):
    """Readers that read on while something else is waited for."""

    def read_for(self, fd: int) -> None:
        """Read until the descriptor has something to say."""
        ...


@dataclass(slots=True)
class Server:
    """A running server: where its stream is, and how to make it publish."""

    name: str
    pid: int
    port: int
    path: str
    publish: Callable[[int], None]
    append: Callable[[float, str, Draining], int] | None = None

    @property
    def cpu(self) -> float:
        """Processor seconds that its threads have taken."""
        # By the scheduler's own count in nanoseconds: the usual one is in hundredths of a second.
        counts = Path(f"/proc/{self.pid}/task").glob("*/schedstat")
        return sum(int(count.read_text(encoding="ascii").split()[0]) for count in counts) / 1e9

    @property
    def rss(self) -> int:
        """Resident memory in bytes."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def request(self, last_event_id: str | None = None) -> bytes:
        """The bytes that ask for the stream."""
        head = f"GET {self.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n"
        if last_event_id is not None:
            head += f"Last-Event-ID: {last_event_id}\r\n"
        return (head + "\r\n").encode()


@contextlib.contextmanager
def ledger(folder: Path, core: int, *, replay_limit: int = 20_000, keep: bool = False) -> Iterator[Server]:
    """The ledger on a file in ``folder``: a new one, unless ``keep``."""
    file = folder / "progress.db"
    if not keep:
        for old in folder.glob("progress.db*"):
            old.unlink()
    command = ["-m", "benchmarks.streams.ledger", str(file), "--replay-limit", str(replay_limit)]
    with _python("ledger", command, core, "/v1/runs/bench/stream") as server:
        yield server


@contextlib.contextmanager
def protocol(core: int, *, store: Path | None = None) -> Iterator[Server]:
    """The Protocol made by hand; with ``store`` each event goes to that file first."""
    command = ["-m", "benchmarks.streams.peers", "protocol"]
    if store is not None:
        command += ["--store", str(store)]
    with _python("Protocol" if store is None else "Protocol that stores", command, core, "/stream") as server:
        yield server


@contextlib.contextmanager
def sse_starlette(core: int) -> Iterator[Server]:
    """sse-starlette as usually used."""
    command = ["-m", "benchmarks.streams.peers", "sse-starlette"]
    with _python("sse-starlette", command, core, "/stream") as server:
        yield server


def nchan_reason() -> str | None:
    """Why nchan cannot be compared with here; None when it can."""
    if shutil.which("nginx") is None or not NCHAN.exists():
        return "nchan is not installed (Debian: apt-get install nginx-light libnginx-mod-nchan)"
    return None


@contextlib.contextmanager
def nchan(folder: Path, core: int) -> Iterator[Server]:
    """nginx with nchan, one worker."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (folder / "nginx.conf").write_text(
        _CONFIGURATION.format(module=NCHAN, folder=folder, port=port), encoding="utf-8"
    )
    command = ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")]
    if os.geteuid() == 0:
        command += ["-g", "user root;"]
    process = subprocess.Popen(_pinned(command, core), stdin=subprocess.DEVNULL)
    try:
        publisher = _connect(port, process)
        publisher.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        number = 0

        def publish(count: int) -> None:
            nonlocal number
            requests: list[bytes] = []
            for _ in range(count):
                number += 1
                body = data_of(number).encode()
                requests.append(
                    b"POST /publish HTTP/1.1\r\nHost: 127.0.0.1\r\nX-EventSource-Event: ticked\r\n"
                    b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
                )
            publisher.sendall(b"".join(requests))
            answered = b""
            while answered.count(b"HTTP/1.1 2") < count:
                part = publisher.recv(1 << 20)
                if not part:
                    raise ConnectionError("nchan closed the publisher's connection")
                answered += part

        with publisher:
            publish(1)
            yield Server("nchan", process.pid, port, "/stream", publish)
    finally:
        process.terminate()
        process.wait(10)


def _connect(port: int, process: subprocess.Popen[bytes]) -> socket.socket:
    until = time.monotonic() + _STARTING
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(OSError):
            return socket.create_connection(("127.0.0.1", port))
        time.sleep(0.02)
    raise ConnectionError("nginx did not start")


@contextlib.contextmanager
def _python(name: str, command: Sequence[str], core: int, path: str) -> Iterator[Server]:
    process = subprocess.Popen(
        _pinned([sys.executable, *command], core), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    put, get = process.stdin, process.stdout

    def ask(line: str) -> str:
        put.write(line + "\n")
        put.flush()
        answer = get.readline().strip()
        if not answer:
            raise ConnectionError(f"{name} ended with status {process.poll()}")
        return answer

    def publish(count: int) -> None:
        ask(f"publish {count}")

    def append(seconds: float, run_id: str, readers: Draining) -> int:
        put.write(f"append {seconds} {run_id}\n")
        put.flush()
        readers.read_for(get.fileno())
        return int(get.readline())

    try:
        port = int(get.readline())
        yield Server(name, process.pid, port, path, publish, append)
    finally:
        put.close()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        get.close()


def _pinned(command: list[str], core: int) -> list[str]:
    return ["taskset", "-c", str(core), *command] if shutil.which("taskset") else command
