"""Ages, moments and keys are read strictly, and a file that cannot be written is still read."""

import argparse
from pathlib import Path

import pytest

from progress_ledger.api.commands import file
from progress_ledger.api.commands.source import Usage
from progress_ledger.ledger.audit.note import new_signer
from progress_ledger.ledger.errors import Unavailable
from tests.ledger.histories import make


def test_ages_and_moments() -> None:
    assert [file.age(text) for text in ("5s", "2m", "1h", "90d", "2w")] == [
        5,
        120,
        3600,
        7_776_000,
        1_209_600,
    ]
    assert file.moment("2026-11-21") == "2026-11-21T00:00:00.000000Z"
    assert file.moment("2026-11-21T10:00:00+02:00") == "2026-11-21T08:00:00.000000Z"
    assert file.moment("7d") < file.moment("1d")
    for wrong in ("", "d", "1.5d", "90", "soon"):
        with pytest.raises(argparse.ArgumentTypeError):
            file.age(wrong)
    with pytest.raises(argparse.ArgumentTypeError):
        file.moment("soon")


def test_keys_are_read_from_files_and_as_they_are(tmp_path: Path) -> None:
    pytest.importorskip("cryptography")
    signer = new_signer("log.example")
    (tmp_path / "private").write_text(signer.secret_text + "\n")
    (tmp_path / "public").write_text(signer.public.text + "\n")
    read = file.read_signer(str(tmp_path / "private"))
    assert read is not None
    assert read.public == signer.public
    assert file.read_key(str(tmp_path / "public")) == file.read_key(signer.public.text) == signer.public
    assert file.read_key(None) is None
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(Usage):
        file.read_text(str(tmp_path / "binary"))


def test_a_file_must_be_there_and_be_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Unavailable):
        file.db_of(str(tmp_path / "none.db"))
    monkeypatch.setenv("PROGRESS_LEDGER_URL", "http://127.0.0.1:1")
    with pytest.raises(Usage):
        file.db_of(None)


@pytest.mark.anyio
async def test_an_existing_file_is_opened(tmp_path: Path) -> None:
    path = await make(tmp_path / "a.db")
    async with file.open_file(path) as log:
        assert await log.head() == 21
