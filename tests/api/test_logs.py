"""The log tells what happened and nothing of what callers sent."""

from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from progress_ledger.api.logs import FACTS, JsonLines, TextLines, configure
from progress_ledger.api.tokens import TokenFile, tokens_path
from tests.api.asking import Clock, serving

pytestmark = pytest.mark.anyio


@pytest.fixture
def restored() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in ("progress_ledger", "uvicorn")]
    before = [(logger.handlers, logger.level, logger.propagate) for logger in loggers]
    yield
    for logger, (handlers, level, propagate) in zip(loggers, before, strict=True):
        logger.handlers, logger.propagate = handlers, propagate
        logger.setLevel(level)


def record(message: str, *args: object, **facts: object) -> logging.LogRecord:
    made = logging.LogRecord("progress_ledger.api", logging.WARNING, __file__, 1, message, args, None)
    vars(made).update(facts)
    return made


def test_json_has_one_object_a_line_with_the_facts() -> None:
    line = JsonLines().format(record("GET %s\nforged", "/é", status=200, other="hidden"))
    assert "\n" not in line
    assert line.isascii()
    told = json.loads(line)
    assert told.pop("time").endswith("Z")
    assert told == {
        "level": "warning",
        "logger": "progress_ledger.api",
        "message": "GET /é\nforged",
        "status": 200,
    }


def test_a_traceback_is_inside_the_object() -> None:
    try:
        raise ValueError("inside")
    except ValueError:
        made = record("failed")
        made.exc_info = sys.exc_info()
    assert "ValueError: inside" in json.loads(JsonLines().format(made))["error"]
    assert "ValueError: inside" in TextLines().format(made)


def test_text_cannot_be_forged_nor_reach_the_terminal() -> None:
    line = TextLines().format(record("GET /\x1b[2J\n2026 error forged"))
    assert "\n" not in line
    assert "\x1b" not in line


def test_configured_twice_each_line_comes_once(restored: None) -> None:
    stream = io.StringIO()
    configure("json", "info", stream)
    configure("json", "info", stream)
    logging.getLogger("progress_ledger.api").info("here")
    assert stream.getvalue().count("here") == 1


async def test_neither_tokens_nor_bodies_nor_queries_are_ever_logged(tmp_path: Path) -> None:
    path = tmp_path / "p.db"
    tokens = TokenFile(tokens_path(path), Clock())
    kept, text = tokens.make("operator")
    secret = text.rpartition("_")[2]
    async with serving(path, "--log-format", "json", "--log-level", "debug") as server:
        headers = {"Authorization": f"Bearer {text}"}
        async with httpx.AsyncClient(base_url=server.url, headers=headers) as http:
            await http.post("/v1/runs?why=QUERYSECRET", json={"kind": "BODYSECRET", "run_id": "r"})
            await http.post("/v1/runs/r/events", content=b'{"events": BODYSECRET')
            await http.post("/v1/events?x=QUERYSECRET", content=b"BODYSECRET")
            await http.post("/v1/runs/r/cancel", json={"reason": "BODYSECRET"})
            await http.get("/v1/runs", params={"q": "QUERYSECRET"})
            await http.get("/v1/runs/r", headers={"Authorization": "Bearer pl_0_WRONGSECRET"})
            await http.get("/v1/runs/r", headers={"Cookie": "progress_ledger=COOKIESECRET"})
            await http.post("/login", content=text)
            await http.post("/login", content="WRONGSECRET")
            await http.post("/v1/runs/r/events", json={"events": [{"type": "cancelled"}]})
            await http.get("/v1/runs/r/stream?last_event_id=QUERYSECRET")
            await http.get("/not%0Ahere?QUERYSECRET")
        assert await server.stop() == 0
        lines = (await server.errors()).splitlines()
    everything = "\n".join(lines)
    assert "SECRET" not in everything
    assert secret not in everything
    told = [json.loads(line) for line in lines]
    requests = [line for line in told if "method" in line]
    assert len(requests) == 12
    assert all(set(FACTS) - set(line) <= {"token"} for line in requests)
    assert requests[0]["token"] == kept.id
    assert [line["status"] for line in requests][:2] == [201, 400]
    assert requests[-1]["path"] == "/not%0Ahere"
