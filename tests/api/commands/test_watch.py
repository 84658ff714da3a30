"""``progress-ledger watch`` follows a run to its end, and its exit status is the outcome."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path

import anyio
import pytest

from tests.api.asking import BOUND, PROGRAM, api, environment, on_terminal, program, seen, serving

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("event", "status"),
    [
        ({"type": "completed"}, 0),
        ({"type": "failed", "data": {"error": "no"}}, 1),
        ({"type": "cancelled"}, 1),
        ({"type": "interrupted", "data": {"reason": "gone"}}, 1),
    ],
)
async def test_a_run_that_is_over_is_shown_and_gives_its_outcome(
    tmp_path: Path, event: dict[str, object], status: int
) -> None:
    async with api(tmp_path / "p.db") as asked:
        await asked.begin("r")
        await asked.append("r", event)
    done = await program("watch", "--db", "p.db", "r", cwd=tmp_path)
    assert (done.status, done.errors) == (status, "")
    assert json.loads(done.output.splitlines()[-1])["status"] == event["type"]


@pytest.mark.parametrize("through", ["file", "server"])
async def test_a_run_is_followed_live_from_another_process(tmp_path: Path, through: str) -> None:
    path = tmp_path / "p.db"
    async with api(path) as asked, serving(path) as server:
        await asked.begin("r", total=3)
        place = ("--db", str(path)) if through == "file" else ("--url", server.url)
        process = await asyncio.create_subprocess_exec(
            *PROGRAM, "watch", *place, "r", env=environment(), stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        seen_done: list[int] = []
        with anyio.fail_after(BOUND):
            for done in range(1, 4):
                seen_done.append(json.loads(await process.stdout.readline())["done"])
                await asked.append("r", {"type": "ticked", "data": {"done": done}})
            seen_done.append(json.loads(await process.stdout.readline())["done"])
            await asked.append("r", {"type": "completed"})
            rest = [json.loads(line) for line in (await process.stdout.read()).splitlines()]
            assert await process.wait() == 0
        assert seen_done == [0, 1, 2, 3]
        assert [run["status"] for run in rest] == ["completed"]
        assert rest[0]["kind"] == "job"


async def test_on_a_terminal_it_draws_a_bar(tmp_path: Path) -> None:
    async with api(tmp_path / "p.db") as asked:
        await asked.begin("r", total=4, title="Work")
        await asked.append("r", {"type": "ticked", "data": {"done": 4}}, {"type": "completed"})
    done = await on_terminal("watch", "--db", "p.db", "r", cwd=tmp_path)
    assert done.status == 0
    text = seen(done.output)
    assert "Work" in text
    assert "100.0 %" in text
    assert "completed" in text


async def test_without_a_run_all_active_ones_are_shown_until_ctrl_c(tmp_path: Path) -> None:
    path = tmp_path / "p.db"
    async with api(path) as asked:
        await asked.begin("one")
        await asked.begin("two")
        done = await on_terminal("watch", "--db", str(path), cwd=tmp_path, until="two", keys=b"\x03")
        assert done.status == 0
        assert "one" in seen(done.output)
        assert "Traceback" not in done.output
        process = await asyncio.create_subprocess_exec(
            *PROGRAM, "watch", "--db", str(path), env=environment(), stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        with anyio.fail_after(BOUND):
            lines = {json.loads(await process.stdout.readline())["run_id"] for _ in range(2)}
            process.send_signal(signal.SIGINT)
            await process.stdout.read()
            assert await process.wait() == 0
        assert lines == {"one", "two"}


async def test_a_viewer_outlives_a_restart_of_the_server(tmp_path: Path) -> None:
    path = tmp_path / "p.db"
    async with api(path) as asked:
        await asked.begin("r", total=2)
        async with serving(path) as server:
            process = await asyncio.create_subprocess_exec(
                *PROGRAM, "watch", "--url", server.url, "r", env=environment(), stdout=asyncio.subprocess.PIPE
            )
            assert process.stdout is not None
            with anyio.fail_after(BOUND):
                assert json.loads(await process.stdout.readline())["version"] == 1
            assert await server.stop() == 0
        await asked.append("r", {"type": "ticked", "data": {"done": 1}}, {"type": "completed"})
        async with serving(path, "--port", str(server.port)):
            with anyio.fail_after(BOUND * 2):
                lines = [json.loads(line) for line in (await process.stdout.read()).splitlines()]
                assert await process.wait() == 0
        assert [line["version"] for line in lines] == [2, 3]


async def test_plain_prints_few_lines_and_ends_with_the_outcome(tmp_path: Path) -> None:
    path = tmp_path / "p.db"
    async with api(path) as asked:
        await asked.begin("r", total=2)
        process = await asyncio.create_subprocess_exec(
            *PROGRAM,
            "watch",
            "--db",
            str(path),
            "--plain",
            "r",
            env=environment(),
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        with anyio.fail_after(BOUND):
            lines = [(await process.stdout.readline()).decode()]
            await asked.append("r", {"type": "paused", "data": {"reason": "rate limit"}})
            lines += [(await process.stdout.readline()).decode() for _ in range(2)]
            await asked.append("r", {"type": "resumed"}, {"type": "failed", "data": {"error": "broke"}})
            lines += (await process.stdout.read()).decode().splitlines()
            assert await process.wait() == 1
    assert "r running" in lines[0]
    assert "waiting: paused, rate limit" in lines[2]
    assert "broke" in lines[-1]
    assert "\x1b" not in "".join(lines)


async def test_a_dumb_terminal_gets_plain_lines(tmp_path: Path) -> None:
    async with api(tmp_path / "p.db") as asked:
        await asked.begin("r", total=4)
        await asked.append("r", {"type": "completed"})
    done = await on_terminal("watch", "--db", "p.db", "r", cwd=tmp_path, env={"TERM": "dumb"})
    assert done.status == 0
    assert "r completed  100.0 %" in done.output
    assert "\x1b" not in done.output


@pytest.mark.parametrize("through", ["file", "server"])
async def test_keys_cancel_a_run_and_quit(tmp_path: Path, through: str) -> None:
    path = tmp_path / "p.db"
    async with api(path) as asked, serving(path) as server:
        await asked.begin("one", total=3)
        place = ("--db", str(path)) if through == "file" else ("--url", server.url)
        done = await on_terminal(
            "watch", *place, cwd=tmp_path, columns=80, until="> one", keys=b"fone\rcy\rq"
        )
        assert done.status == 0
        assert "one was asked to cancel." in seen(done.output)
        assert (await asked.http.get("/v1/runs/one")).json()["cancel_requested"] is True


async def test_a_server_that_asks_for_a_token_is_told_the_one_of_the_environment(tmp_path: Path) -> None:
    path = tmp_path / "p.db"
    async with api(path) as asked:
        await asked.begin("r")
        await asked.append("r", {"type": "completed"})
    made = await program("token", "new", "--db", str(path), "--role", "reader", cwd=tmp_path)
    token = made.output.split()[-1] if made.output.strip()[0] != "{" else json.loads(made.output)["token"]
    async with serving(path) as server:
        refused = await program("watch", "--url", server.url, "r", cwd=tmp_path)
        assert refused.status == 1
        done = await program("watch", "--url", server.url, "r", cwd=tmp_path, PROGRESS_LEDGER_TOKEN=token)
        assert done.status == 0


@pytest.mark.parametrize("run", [(), ("one",)])
async def test_sigterm_gives_the_terminal_back(tmp_path: Path, run: tuple[str, ...]) -> None:
    path = tmp_path / "p.db"
    async with api(path) as asked:
        await asked.begin("one")
        done = await on_terminal(
            "watch", "--db", str(path), *run, cwd=tmp_path, until="one", told=signal.SIGTERM
        )
    assert done.status == 128 + signal.SIGTERM
    assert done.output.rfind("\x1b[?25h") > done.output.rfind("\x1b[?25l")
