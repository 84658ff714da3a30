"""``progress-ledger serve`` serves the file it was told to."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from tests.api.asking import api, program, serving

pytestmark = pytest.mark.anyio


async def test_a_file_that_others_wrote_is_served_and_commands_ask_the_server(tmp_path: Path) -> None:
    path = tmp_path / "p.db"
    async with api(path) as asked:
        await asked.begin("before")
        async with serving(path, "--durability", "process") as server:
            await asked.begin("while")
            async with httpx.AsyncClient(base_url=server.url) as http:
                # A read shows what another process had committed before it.
                assert (await http.get("/v1/runs/while")).status_code == 200
            by_url = await program("ls", cwd=tmp_path, PROGRESS_LEDGER_URL=server.url)
            by_file = await program("ls", "--db", "p.db", cwd=tmp_path)
            assert len(by_url.output.splitlines()) == len(by_file.output.splitlines()) == 2
            assert await server.stop() == 0


async def test_it_listens_where_it_was_told_to(tmp_path: Path) -> None:
    async with serving(tmp_path / "p.db", "--host", "::1") as server:
        assert server.url.startswith("http://[::1]:")
        async with httpx.AsyncClient(base_url=server.url) as http:
            assert (await http.get("/readyz")).status_code == 200
        assert await server.stop() == 0


async def test_the_file_may_come_from_the_environment(tmp_path: Path) -> None:
    done = await program("serve", "--port", "0", cwd=tmp_path, PROGRESS_LEDGER_DB="no/such/folder.db")
    assert done.status == 1
    assert "no/such/folder.db" in done.errors


async def test_an_age_that_is_none_is_refused_with_the_name_of_its_setting(tmp_path: Path) -> None:
    done = await program("serve", cwd=tmp_path, PROGRESS_LEDGER_PRUNE_OLDER_THAN="90 days")
    assert done.status == 2
    assert "prune_older_than: '90 days' is no age" in done.errors
