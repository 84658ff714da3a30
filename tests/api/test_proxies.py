"""Behind real proxies, set up as documented, a stream arrives at once and goes on where it was."""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import anyio
import httpx
import pytest

from progress_ledger.api.tokens import TokenFile, tokens_path
from tests import tree
from tests.api.asking import BOUND, serving
from tests.api.streaming import parse

pytestmark = pytest.mark.anyio

NAME = "progress.example"

Set = Callable[[Path, Path, str], Sequence[str]]


def documented(proxy: str, *changed: tuple[str, str]) -> str:
    """The proxy's configuration as the documentation has it, but for where both ends of it are."""
    page = (tree.ROOT / "docs" / "howto" / "deploy.md").read_text("utf-8")
    found = re.search(rf"^<!-- {proxy} -->\n```\w+\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert found is not None
    text = found[1]
    for before, after in changed:
        assert before in text
        text = text.replace(before, after)
    return text


def nginx(folder: Path, place: Path, upstream: str) -> Sequence[str]:
    """Set it up; the command that runs it."""
    text = documented(
        "nginx",
        ("unix:/run/progress-ledger/http.sock", upstream),
        ("listen 443 ssl;", f"listen unix:{place};"),
    )
    paths = "".join(
        f"{name}_temp_path {folder}/{name};\n"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    config = folder / "nginx.conf"
    config.write_text(
        f"daemon off;\nmaster_process off;\npid {folder}/nginx.pid;\nerror_log {folder}/error.log;\n"
        f"events {{}}\nhttp {{\naccess_log off;\ngzip on;\n{paths}{text}\n}}\n"
    )
    return ["nginx", "-c", str(config), "-e", str(folder / "error.log"), "-p", str(folder)]


def caddy(folder: Path, place: Path, upstream: str) -> Sequence[str]:
    """Set it up; the command that runs it."""
    text = documented(
        "caddy",
        ("unix//run/progress-ledger/http.sock", upstream),
        (f"{NAME} {{", f"http://{NAME} {{\nbind unix/{place}"),
    )
    config = folder / "Caddyfile"
    config.write_text(f"{{\nadmin off\nauto_https off\nstorage file_system {folder}/caddy\n}}\n{text}")
    return ["caddy", "run", "--adapter", "caddyfile", "--config", str(config)]


@contextlib.asynccontextmanager
async def behind(proxy: Set, folder: Path, upstream: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the proxy before ``upstream``."""
    place = folder / "front.sock"
    command = proxy(folder, place, upstream)
    environment = os.environ | {"XDG_CONFIG_HOME": str(folder)}
    with (folder / "said").open("wb") as said:
        process = await anyio.open_process(command, stdout=said, stderr=said, env=environment)
    try:
        with anyio.fail_after(BOUND):
            # Another program makes the file: nothing here can be waited for.
            while not place.exists():
                assert process.returncode is None, (folder / "said").read_text()
                await anyio.sleep(0.02)
        transport = httpx.AsyncHTTPTransport(uds=str(place))
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{NAME}", timeout=BOUND) as http:
            yield http
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.aclose()


PROXIES = [
    pytest.param(proxy, id=proxy.__name__, marks=pytest.mark.needs(proxy.__name__))
    for proxy in (nginx, caddy)
]


@pytest.mark.parametrize("proxy", PROXIES)
async def test_a_stream_passes_a_proxy_unbuffered_and_resumes_through_it(proxy: Set, tmp_path: Path) -> None:
    path = tmp_path / "p.db"
    _, text = TokenFile(tokens_path(path), time.time).make("operator")
    bearer = {"Authorization": f"Bearer {text}"}

    async def tick(http: httpx.AsyncClient, done: int) -> None:
        body = {"events": [{"type": "ticked", "data": {"done": done}}]}
        assert (await http.post("/v1/runs/r/events", json=body, headers=bearer)).status_code == 201

    async with (
        serving(path, "--allow-host", NAME, "--trusted-proxy", "127.0.0.1") as server,
        behind(proxy, tmp_path, server.url.removeprefix("http://")) as http,
    ):
        assert (await http.get("/v1/runs")).status_code == 401
        made = await http.post("/v1/runs", json={"kind": "k", "run_id": "r", "total": 9}, headers=bearer)
        assert made.status_code == 201
        async with http.stream("GET", "/v1/runs/r/stream", headers=bearer) as response:
            assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
            assert "content-encoding" not in response.headers
            # Each tick waits for the frame before it: were frames held back, this would stand still.
            received = b""
            done = 0
            with anyio.fail_after(BOUND):
                async for part in response.aiter_raw():
                    received += part
                    frames, _, _ = parse(received)
                    if len([frame for frame in frames if frame.event in ("snapshot", "ticked")]) > done:
                        done += 1
                        if done == 4:
                            break
                        await tick(http, done)
        seen = [frame for frame in parse(received)[0] if frame.event == "ticked"]
        assert [frame.data["event"]["data"]["done"] for frame in seen] == [1, 2, 3]
        await tick(http, 4)
        await http.post("/v1/runs/r/events", json={"events": [{"type": "completed"}]}, headers=bearer)
        assert seen[-1].id is not None
        resumed = {**bearer, "Last-Event-ID": seen[-1].id}
        reply = await http.get("/v1/runs/r/stream", headers=resumed)
        frames, _, rest = parse(reply.content)
        assert rest == b""
        assert frames[0].data["status"] == "resumed"
        assert [frame.event for frame in frames[1:]] == ["ticked", "completed"]
        last = {**bearer, "Last-Event-ID": str(frames[-1].id)}
        assert (await http.get("/v1/runs/r/stream", headers=last)).status_code == 204


@pytest.mark.parametrize("proxy", PROXIES)
async def test_through_a_proxy_a_page_signs_in_with_a_cookie_and_changes_things(
    proxy: Set, tmp_path: Path
) -> None:
    path = tmp_path / "p.db"
    _, text = TokenFile(tokens_path(path), time.time).make("operator")
    async with (
        serving(path, "--allow-host", NAME, "--trusted-proxy", "127.0.0.1") as server,
        behind(proxy, tmp_path, server.url.removeprefix("http://")) as http,
    ):
        assert (await http.get("/")).status_code == 200
        own = {"Origin": f"http://{NAME}"}
        assert (await http.post("/login", content=text, headers=own)).status_code == 200
        assert (await http.post("/v1/runs", json={"kind": "k"}, headers=own)).status_code == 201
        foreign = {"Origin": "https://evil.example"}
        assert (await http.post("/v1/runs", json={"kind": "k"}, headers=foreign)).status_code == 403
