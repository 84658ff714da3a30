"""`verify` says yes with 0 and no with 1, names the first damage, and knows files, bundles and servers."""

import time
from pathlib import Path

import anyio
import pytest

from progress_ledger.api.tokens import TokenFile, tokens_path
from tests.api.asking import program, serving
from tests.api.auditing import command, ledger_file
from tests.ledger.histories import tamper

Capture = pytest.CaptureFixture[str]


def test_a_good_file_and_a_good_bundle_are_verified(tmp_path: Path, capsys: Capture) -> None:
    db = ledger_file(tmp_path / "a.db")
    kept = tmp_path / "kept"
    kept.write_text(command(capsys, "checkpoint", "--db", db).out)
    assert command(capsys, "export", "--db", db, "--all", "-o", tmp_path / "all").status == 0
    for target in ("--db", ""), ("", ""):
        arguments = ["verify", *(("--db", db) if target[0] else (db,)), "--checkpoint", kept]
        said = command(capsys, *arguments)
        assert (said.status, said.lines[0]["trusted_by"]) == (0, "the checkpoint you hold")
    assert command(capsys, "verify", tmp_path / "all", "--checkpoint", kept).status == 0


def test_damage_is_named_and_the_status_is_1(tmp_path: Path, capsys: Capture) -> None:
    db = ledger_file(tmp_path / "a.db")
    assert command(capsys, "checkpoint", "--db", db).status == 0
    tamper(db, "UPDATE event SET body = replace(body, '\"done\":2', '\"done\":9') WHERE position = 8")
    said = command(capsys, "verify", "--db", db)
    first = said.lines[0]["findings"][0]
    assert (said.status, first["kind"], first["position"], first["run_id"]) == (
        1,
        "changed_event",
        8,
        "run-1",
    )
    assert first["end"] > first["start"] > 0
    assert said.lines[0]["trusted"] == 7


def test_an_edited_snapshot_is_found(tmp_path: Path, capsys: Capture) -> None:
    db = ledger_file(tmp_path / "a.db")
    tamper(db, "UPDATE document SET value = x'00' WHERE space = 'run.1' AND key = 'run-1'")
    said = command(capsys, "verify", "--db", db)
    assert (said.status, said.lines[0]["findings"][0]["kind"]) == (1, "wrong_snapshot")


def test_what_is_not_there_is_1_and_what_is_no_key_too(tmp_path: Path, capsys: Capture) -> None:
    assert command(capsys, "verify", tmp_path / "none").status == 1
    db = ledger_file(tmp_path / "a.db")
    assert command(capsys, "verify", db, "--key", "nonsense").status == 1
    assert command(capsys, "verify", "ftp://x").status == 1


@pytest.mark.anyio
async def test_a_server_that_asks_for_a_token_is_told_the_one_in_the_environment(tmp_path: Path) -> None:
    db = tmp_path / "a.db"
    await anyio.to_thread.run_sync(ledger_file, db)
    _, token = TokenFile(tokens_path(db), time.time).make("reader")
    async with serving(db) as server:
        refused = await program("verify", server.url, cwd=tmp_path)
        assert (refused.status, "needs a token" in refused.errors) == (1, True)
        told = await program("verify", server.url, cwd=tmp_path, PROGRESS_LEDGER_TOKEN=token)
        assert told.status == 0, told.errors
