"""Followers of a run made with clients that nobody here wrote, each in a process of its own.

``python -m tests.e2e.clients NAME URL`` follows the stream at URL as that client's documents say, over
every cut, until the final frame, and prints a line of JSON for each frame with data: its event, id, version
and what hello said. Where the client does not reconnect by itself the loop of its application is here.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

PAUSE = 0.2


class Told:
    """What a follower tells the test, and where it is."""

    def __init__(self) -> None:
        self.last_id: str | None = None
        self.over = False

    def tell(self, event: str | None, data: str, id: str | None) -> bool:  # noqa: A002 - the field's own name
        """A frame came. Whether it was the final one, after which ``over`` is True."""
        try:
            told: dict[str, Any] = json.loads(data)
        except ValueError:
            # Two clients hand out what came of a frame that was cut: its id was not there yet.
            self._say({"event": "half", "frame": event})
            return False
        if id:
            self.last_id = id
        self.over = told.get("final") is True
        line = {"event": event, "id": id, "status": told.get("status"), "reason": told.get("reason")}
        if "event" in told:
            line["version"] = told["event"]["version"]
        elif "run" in told:
            line["version"] = told["run"]["version"]
        self._say(line)
        return self.over

    def lost(self, error: BaseException | None) -> None:
        """The connection is gone."""
        self._say({"event": "lost", "error": type(error).__name__ if error else None})
        time.sleep(PAUSE)

    def ended(self) -> None:
        """The response came to its end."""
        if not self.over:
            self.lost(None)

    @property
    def headers(self) -> dict[str, str]:
        return {"Last-Event-ID": self.last_id} if self.last_id else {}

    @staticmethod
    def _say(line: dict[str, Any]) -> None:
        print(json.dumps(line), flush=True)


def httpx_sse(url: str, told: Told) -> None:
    import httpx
    from httpx_sse import SSEError, connect_sse

    with httpx.Client(timeout=60, trust_env=False) as client:
        while not told.over:
            try:
                with connect_sse(client, "GET", url, headers=told.headers) as source:
                    for frame in source.iter_sse():
                        told.tell(frame.event, frame.data, frame.id)
                told.ended()
            except (httpx.HTTPError, SSEError) as error:
                told.lost(error)


def sseclient_py(url: str, told: Told) -> None:
    import httpx
    import sseclient

    with httpx.Client(timeout=60, trust_env=False) as client:
        while not told.over:
            try:
                with client.stream("GET", url, headers=told.headers) as response:
                    for frame in sseclient.SSEClient(response.iter_bytes()).events():
                        told.tell(frame.event, frame.data, frame.id)
                told.ended()
            except httpx.HTTPError as error:
                told.lost(error)


def requests_sse(url: str, told: Told) -> None:
    import requests
    from requests_sse import EventSource, InvalidStatusCodeError

    while not told.over:
        try:
            # It reconnects by itself, doubling its pause, and gives up after some tries.
            with EventSource(
                url,
                reconnection_time=timedelta(seconds=PAUSE),
                max_connect_retry=20,
                latest_event_id=told.last_id,
                timeout=60,
            ) as source:
                for frame in source:
                    if told.tell(frame.type, frame.data or "", frame.last_event_id):
                        return
        except (requests.RequestException, InvalidStatusCodeError, ConnectionError) as error:
            told.lost(error)


def launchdarkly(url: str, told: Told) -> None:
    from ld_eventsource import SSEClient
    from ld_eventsource.actions import Event, Fault
    from ld_eventsource.config import ErrorStrategy, RetryDelayStrategy

    client = SSEClient(
        url,
        initial_retry_delay=PAUSE,
        retry_delay_strategy=RetryDelayStrategy.default(max_delay=1.0),
        error_strategy=ErrorStrategy.always_continue(),
    )
    for action in client.all:
        if isinstance(action, Event):
            told.tell(action.event, action.data, action.last_event_id)
            if told.over:
                client.close()
                return
        elif isinstance(action, Fault):
            print(json.dumps({"event": "lost", "error": type(action.error).__name__}), flush=True)


def aiohttp_sse(url: str, told: Told) -> None:
    asyncio.run(_aiohttp_sse(url, told))


async def _aiohttp_sse(url: str, told: Told) -> None:
    import aiohttp
    from aiohttp_sse_client2 import client as sse_client

    # A new one for each connection: kept, it glues the half frame of the old one to the first of the new.
    while not told.over:
        try:
            async with sse_client.EventSource(url, headers=told.headers, max_connect_retry=0) as source:
                async for frame in source:
                    if told.tell(frame.type, frame.data, frame.last_event_id):
                        return
        except (aiohttp.ClientError, ConnectionError) as error:
            told.lost(error)


def curl(url: str, told: Told) -> None:
    while not told.over:
        command = ["curl", "--no-buffer", "--silent", "--show-error", url]
        for name, value in told.headers.items():
            command += ["--header", f"{name}: {value}"]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        ) as process:
            assert process.stdout is not None
            frame: dict[str, str] = {}
            for line in process.stdout:
                if line == "\n":
                    told.tell(frame.get("event"), frame.get("data", ""), frame.get("id"))
                    frame = {}
                else:
                    name, _, value = line.rstrip("\n").partition(": ")
                    frame[name] = value
        told.ended()


_SCRIPT = """
(url) => new Promise((resolve) => {
  const names = ["hello", "snapshot", "drain", "busy", "started", "ticked", "noted", "completed"];
  let last = null;
  const open = () => {
    const source = new EventSource(last ? url + "?lastEventId=" + last : url);
    let watch = null;
    for (const name of names) source.addEventListener(name, (frame) => {
      clearTimeout(watch);
      last = frame.lastEventId || last;
      report({event: frame.type, data: frame.data, id: frame.lastEventId});
      if (JSON.parse(frame.data).final) { source.close(); resolve(); }
    });
    source.onerror = () => {
      report({event: "lost", data: "{}", state: source.readyState});
      if (source.readyState === 2) { resolve(); return; }
      clearTimeout(watch);
      watch = setTimeout(() => { source.close(); open(); }, WATCH);
    };
  };
  open();
})
"""


def chromium(url: str, told: Told) -> None:
    from playwright.sync_api import sync_playwright

    def report(frame: dict[str, Any]) -> None:
        if frame["event"] == "lost":
            print(json.dumps({"event": "lost", "state": frame["state"]}), flush=True)
        else:
            told.tell(frame["event"], frame["data"], frame["id"])

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page()
        page.set_default_timeout(0)
        page.expose_function("report", report)
        page.goto(url.partition("/v1/")[0] + "/healthz")
        # Left to itself: a browser comes back as often as it takes.
        page.evaluate(_SCRIPT.replace("WATCH", "600_000"), url)
        browser.close()


def node(url: str, told: Told) -> None:
    # Its wait before a reconnect does not keep the process alive, and after a refused connection it never
    # tries again, so that the application has to.
    script = (
        "setInterval(() => {}, 1000);"
        "const report = (frame) => console.log(JSON.stringify(frame));"
        f"({_SCRIPT.replace('WATCH', '5_000')})(process.argv[1]).then(() => process.exit(0));"
    )
    command = ["node", "--no-warnings", "--experimental-eventsource", "-e", script, url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            frame = json.loads(line)
            if frame["event"] == "lost":
                print(line, end="", flush=True)
            else:
                told.tell(frame["event"], frame["data"], frame["id"])


CLIENTS: dict[str, Callable[[str, Told], None]] = {
    "httpx-sse": httpx_sse,
    "sseclient-py": sseclient_py,
    "requests-sse": requests_sse,
    "launchdarkly-eventsource": launchdarkly,
    "aiohttp-sse-client2": aiohttp_sse,
    "curl": curl,
    "chromium": chromium,
    "node": node,
}
NEEDS = {"curl": ("curl",), "chromium": ("chromium",), "node": ("node",)}


def command(name: str, url: str) -> tuple[list[str], Path]:
    """How to start a follower, and where."""
    return [sys.executable, "-m", "tests.e2e.clients", name, url], Path(__file__).parents[2]


if __name__ == "__main__":
    CLIENTS[sys.argv[1]](sys.argv[2], Told())
