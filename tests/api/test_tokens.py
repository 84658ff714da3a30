"""Tokens are made once, kept as hashes, and end when they should."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path

import pytest

from progress_ledger.api.access.rights import NOTHING
from progress_ledger.api.tokens import TokenFile, tokens_path
from progress_ledger.ledger.errors import Unavailable
from tests.api.asking import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def kept(tmp_path: Path, clock: Clock) -> TokenFile:
    return TokenFile(tokens_path(tmp_path / "progress.db"), clock)


def test_a_token_opens_what_it_was_made_for(kept: TokenFile) -> None:
    token, text = kept.make("producer", kinds="qa_*")
    access = kept.access(text)
    assert (access.role, access.kinds, access.token) == ("producer", "qa_*", token.id)


def test_only_the_hash_is_on_the_disk_and_only_its_owner_reads_it(kept: TokenFile, tmp_path: Path) -> None:
    _, text = kept.make("reader")
    path = tmp_path / "progress.db-tokens"
    assert text.rpartition("_")[2] not in path.read_text("utf-8")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("text", ["", "pl", "pl_", "pl_00000000_x", "x_y_z", "\udcff", "pl__"])
def test_what_is_no_token_opens_nothing(kept: TokenFile, text: str) -> None:
    kept.make("operator")
    assert kept.access(text) == NOTHING


def test_the_right_id_with_another_secret_opens_nothing(kept: TokenFile) -> None:
    token, text = kept.make("operator")
    assert kept.access(text[:-1] + ("a" if text[-1] != "a" else "b")) == NOTHING
    assert kept.access(f"pl_{token.id}_") == NOTHING


def test_an_expired_token_opens_nothing_from_that_moment(kept: TokenFile, clock: Clock) -> None:
    _, text = kept.make("reader", expires=clock.now + 10)
    access = kept.access(text)
    clock.now += 9.9
    assert kept.still(access)
    clock.now += 0.1
    assert not kept.still(access)
    assert kept.access(text) == NOTHING


def test_a_revoked_token_opens_nothing_and_is_still_listed(kept: TokenFile) -> None:
    token, text = kept.make("reader", note="for the wall")
    access = kept.access(text)
    assert kept.revoke(token.id)
    assert not kept.still(access)
    assert kept.access(text) == NOTHING
    assert [(one.id, one.note, one.revoked is None) for one in kept.all()] == [
        (token.id, "for the wall", False)
    ]
    assert not kept.revoke("nobody")


def test_a_change_by_another_process_is_seen(kept: TokenFile, tmp_path: Path, clock: Clock) -> None:
    token, text = kept.make("reader")
    other = TokenFile(tokens_path(tmp_path / "progress.db"), clock)
    assert other.access(text).role == "reader"
    assert other.revoke(token.id)
    assert kept.access(text) == NOTHING


def test_a_token_file_that_cannot_be_read_closes_the_door(kept: TokenFile, tmp_path: Path) -> None:
    (tmp_path / "progress.db-tokens").write_text("not json", "utf-8")
    with pytest.raises(Unavailable, match="cannot be read as tokens"):
        kept.all()


def test_a_folder_that_is_not_there_is_said_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="check that its folder is there"):
        TokenFile(tmp_path / "no" / "progress.db-tokens", time.time).make("reader")


def test_a_file_of_another_user_says_who_makes_tokens(
    kept: TokenFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept.make("reader")

    def refuse(_: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(Unavailable, match="make tokens as the user that serves"):
        kept.all()


def test_a_change_by_root_leaves_the_file_to_whoever_serves(
    kept: TokenFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept.make("reader")
    owner = (tmp_path / "progress.db-tokens").stat()
    given: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "geteuid", lambda: owner.st_uid + 1)
    monkeypatch.setattr(os, "fchown", lambda _, user, group: given.append((user, group)))
    kept.make("producer")
    assert given == [(owner.st_uid, owner.st_gid)]
