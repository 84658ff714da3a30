"""The demonstration's job reads every file once and says so."""

from __future__ import annotations

import hashlib
import sysconfig
import threading
from collections.abc import Mapping
from pathlib import Path

from progress_ledger.api.console.demo_job import hash_files, python_folders, scan


class _Counter:
    def __init__(self) -> None:
        self.n = 0
        self.counts: dict[str, int] = {}

    def __call__(self, n: int = 1, counts: Mapping[str, int] | None = None) -> None:
        self.n += n
        for name, value in (counts or {}).items():
            self.counts[name] = self.counts.get(name, 0) + value


def _tree(folder: Path) -> None:
    (folder / "sub").mkdir()
    (folder / "sub" / "b.txt").write_bytes(b"bb" * 1_000_000)
    (folder / "a.txt").write_bytes(b"a")
    (folder / "empty").write_bytes(b"")
    (folder / "link").symlink_to(folder / "a.txt")


def test_every_file_is_found_once_and_links_are_not_followed(tmp_path: Path) -> None:
    _tree(tmp_path)
    found = _Counter()
    files = scan([tmp_path], found, threading.Event())
    assert [(file.path.name, file.size) for file in files] == [
        ("a.txt", 1),
        ("empty", 0),
        ("b.txt", 2_000_000),
    ]
    assert found.n == 3


def test_every_byte_is_hashed_and_counted(tmp_path: Path) -> None:
    _tree(tmp_path)
    files = scan([tmp_path], _Counter(), threading.Event())
    hashed = _Counter()
    result = hash_files(files, hashed, threading.Event())
    assert (result.files, result.size, result.unreadable) == (3, 2_000_001, 0)
    assert (hashed.n, hashed.counts) == (2_000_001, {"files": 3})
    digests = [hashlib.sha256(file.path.read_bytes()).digest() for file in files]
    assert result.digest == hashlib.sha256(b"".join(digests)).hexdigest()


def test_a_file_that_went_away_is_counted_as_unreadable_and_its_bytes_as_done(tmp_path: Path) -> None:
    _tree(tmp_path)
    files = scan([tmp_path], _Counter(), threading.Event())
    (tmp_path / "sub" / "b.txt").unlink()
    hashed = _Counter()
    result = hash_files(files, hashed, threading.Event())
    assert (result.files, result.unreadable) == (2, 1)
    assert (hashed.n, hashed.counts) == (2_000_001, {"files": 2, "unreadable": 1})


def test_it_stops_when_told(tmp_path: Path) -> None:
    _tree(tmp_path)
    stopped = threading.Event()
    files = scan([tmp_path], _Counter(), stopped)
    stopped.set()
    assert hash_files(files, _Counter(), stopped).files == 0
    assert scan([tmp_path], _Counter(), stopped) == []


def test_the_folders_are_this_pythons_and_none_is_inside_another() -> None:
    folders = python_folders()
    purelib = Path(sysconfig.get_path("purelib")).resolve()
    assert any(purelib.is_relative_to(folder) for folder in folders)
    for folder in folders:
        assert not any(folder != other and folder.is_relative_to(other) for other in folders)
