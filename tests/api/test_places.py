"""Where the server listens and which names it answers to is asked of processes."""

from __future__ import annotations

import asyncio
import socket
import stat
import time
from pathlib import Path

import httpx
import pytest

from progress_ledger.api.tokens import TokenFile, tokens_path
from tests.api.asking import PROGRAM, environment, program, serving

pytestmark = pytest.mark.anyio


async def test_it_is_reached_by_a_unix_socket_and_leaves_none_behind(tmp_path: Path) -> None:
    place = tmp_path / "s"
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(place))
    stale.close()
    config = tmp_path / "c.toml"
    config.write_text(f'db = "{tmp_path / "p.db"}"\nuds = "{place}"\n')
    process = await asyncio.create_subprocess_exec(
        *PROGRAM, "serve", "--config", str(config), env=environment(), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        assert (await process.stdout.readline()).decode() == f"listening on unix:{place}\n"
        assert stat.S_IMODE(place.stat().st_mode) == 0o660
        transport = httpx.AsyncHTTPTransport(uds=str(place))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
            assert (await http.post("/v1/runs", json={"kind": "k", "run_id": "r"})).status_code == 201
            assert (await http.get("/healthz", headers={"Host": "evil.example"})).status_code == 403
        second = await program("serve", "--uds", str(place), "--db", str(tmp_path / "q.db"), cwd=tmp_path)
        assert second.status == 1
    finally:
        process.terminate()
        assert await process.wait() == 0
        process._transport.close()  # type: ignore[attr-defined]  # asyncio has no public way
    assert not place.exists()


async def test_a_public_name_is_answered_only_when_it_is_listed_and_asks_for_tokens(tmp_path: Path) -> None:
    path = tmp_path / "p.db"
    option = ("--allow-host", "progress.example")
    open_to_all = await program("serve", "--db", str(path), "--port", "0", *option, cwd=tmp_path)
    assert open_to_all.status == 2
    assert "--allow-host progress.example" in open_to_all.errors
    _, text = TokenFile(tokens_path(path), time.time).make("reader")
    async with serving(path, *option) as server, httpx.AsyncClient(base_url=server.url) as http:
        codes = {
            host: (await http.get("/v1/runs", headers={"Host": host})).status_code
            for host in ("progress.example", "PROGRESS.example:443", "other.example", "localhost")
        }
        assert codes == {
            "progress.example": 401,
            "PROGRESS.example:443": 401,
            "other.example": 403,
            "localhost": 401,
        }
        headers = {"Host": "progress.example", "Authorization": f"Bearer {text}"}
        assert (await http.get("/v1/runs", headers=headers)).status_code == 200


async def test_what_a_proxy_says_is_believed_only_from_a_trusted_one(tmp_path: Path) -> None:
    path = tmp_path / "p.db"
    _, text = TokenFile(tokens_path(path), time.time).make("reader")
    config = tmp_path / "c.toml"
    config.write_text("[limits]\nrequests_burst = 2\nrequests_per_second = 0.001\n")
    for trusted, expected in ((("--trusted-proxy", "127.0.0.1"), [200, 200, 429]), ((), [200, 200, 200])):
        async with (
            serving(path, "--config", str(config), *trusted) as server,
            httpx.AsyncClient(base_url=server.url) as http,
        ):
            headers = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}
            codes = [(await http.get("/healthz", headers=headers)).status_code for _ in range(3)]
            assert codes == expected
            reply = await http.post("/login", content=text, headers={"X-Forwarded-Proto": "https"})
            assert ("Secure" in reply.headers["set-cookie"]) is bool(trusted)


async def test_a_wrong_setting_is_one_sentence_with_its_place(tmp_path: Path) -> None:
    done = await program("serve", cwd=tmp_path, PROGRESS_LEDGER_PORT="many")
    assert (done.status, done.errors.count("\n")) == (2, 1)
    assert "PROGRESS_LEDGER_PORT" in done.errors
    (tmp_path / "c.toml").write_text("prot = 1\n")
    done = await program("serve", "--config", "c.toml", cwd=tmp_path)
    assert done.status == 2
    assert "c.toml" in done.errors
    assert "prot" in done.errors
    assert (await program("serve", "--config", "none.toml", cwd=tmp_path)).status == 1
