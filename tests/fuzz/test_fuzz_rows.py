"""Rows of the file, as bytes that nobody wrote: damage is told in a sentence and takes nobody down."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from progress_ledger.api.app import create_app
from progress_ledger.ledger import Ledger, LedgerError, RunSpec, Ticked, Unavailable
from progress_ledger.projections.projector import Projector

from .drive import ask

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180)]

_quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
async def written(tmp_path: Path) -> Path:
    """A ledger file with two runs of six events."""
    path = tmp_path / "written.db"
    async with Ledger.open(path, durability="process") as ledger:
        for run_id in ("a", "b"):
            await ledger.create(RunSpec(kind="k", total=10), run_id=run_id)
            await ledger.append(run_id, [Ticked(advance=1, message="m")] * 5)
    return path


@_quick
@given(
    position=st.integers(1, 12),
    body=st.one_of(
        st.text(max_size=40),
        st.just('{"run_id":"a","version":99,"time":"2026-11-21T23:34:40.123456Z","type":"ticked","data":{}}'),
        st.just('{"run_id":"a","version":2,"time":"x","type":"ticked","data":{"advance":1}}'),
        st.just('{"run_id":"a","version":2,"time":"2026-11-21T23:34:40.123456Z","type":"zz","data":{"q":1}}'),
    ),
    column=st.sampled_from(("body", "body", "body", "previous", "run")),
)
async def test_a_spoilt_row_is_told_and_the_rest_goes_on(
    tmp_path: Path, written: Path, position: int, body: str, column: str
) -> None:
    path = tmp_path / "spoilt.db"
    for suffix in ("-wal", "-shm", "-lock"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    path.write_bytes(written.read_bytes())
    with closing(sqlite3.connect(path)) as file:
        value: str | int = body if column == "body" else len(body)
        file.execute(f"UPDATE event SET {column} = ? WHERE position = ?", (value, position))
        file.commit()
    told = "."
    try:
        async with Ledger.open(path, durability="process") as ledger, Projector.open(ledger) as projector:
            app = create_app(ledger, projector)
            for place in (
                "/v1/runs",
                "/v1/runs/a",
                "/v1/runs/a/events",
                "/v1/runs/b/stream",
                "/v1/stream",
                "/healthz",
            ):
                answer = await ask(app, "GET", place, headers=[])
                assert answer.status in (200, 503), (place, answer)
    except LedgerError as error:
        told = str(error)
    assert told.endswith(".")


@_quick
@given(at=st.integers(0, 200_000), data=st.binary(min_size=1, max_size=40))
async def test_spoilt_bytes_of_the_file_are_told_or_do_no_harm(
    tmp_path: Path, written: Path, at: int, data: bytes
) -> None:
    path = tmp_path / "spoilt.db"
    for suffix in ("-wal", "-shm", "-lock"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    whole = written.read_bytes()
    at %= len(whole)
    path.write_bytes(whole[:at] + data + whole[at + len(data) :])
    told = "."
    try:
        async with Ledger.open(path, durability="process") as ledger, Projector.open(ledger) as projector:
            app = create_app(ledger, projector)
            for place in ("/v1/runs", "/v1/runs/a", "/v1/runs/a/events", "/v1/stream", "/healthz"):
                answer = await ask(app, "GET", place, headers=[])
                assert answer.status in (200, 404, 503), (place, answer)
    except LedgerError as error:
        told = str(error)
    assert told.endswith(".")


async def test_a_start_on_a_row_that_is_no_json_is_refused_in_a_sentence(written: Path) -> None:
    with closing(sqlite3.connect(written)) as file:
        file.execute("UPDATE event SET body = '' WHERE position = 3")
        file.commit()
    async with Ledger.open(written, durability="process") as ledger:
        with pytest.raises(Unavailable, match=r"cannot be folded beyond position .* run verify"):
            async with Projector.open(ledger):
                raise AssertionError


async def test_a_schema_that_is_no_text_is_refused_in_a_sentence(written: Path) -> None:
    whole = written.read_bytes()
    written.write_bytes(whole.replace(b"CREATE TABLE event (", b"CREATE TABLE \x80\x81\xff\xfe\xfd (", 1))
    with pytest.raises(LedgerError, match=r"run verify|cannot be used"):
        async with Ledger.open(written, durability="process"):
            raise AssertionError
