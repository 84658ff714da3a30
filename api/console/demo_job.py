"""The job of the demonstration: the SHA-256 of every file of the running Python and its packages."""

import hashlib
import os
import sysconfig
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

__all__ = ("Counter", "FileSize", "Hashed", "hash_files", "python_folders", "scan")

_CHUNK = 1024 * 1024


class Counter(Protocol):
    """How the job says that something is done; may be called from any thread, never waits."""

    def __call__(self, n: int = 1, counts: Mapping[str, int] | None = None) -> None:
        """``n`` more are done."""
        ...


class FileSize(NamedTuple):
    """A file and how many bytes it had when it was found."""

    path: Path
    size: int


class Hashed(NamedTuple):
    """The sum over all files: ``digest`` is the SHA-256 of their digests in the order of their paths."""

    files: int
    size: int
    unreadable: int
    digest: str


def python_folders() -> list[Path]:
    """The standard library and site-packages of this Python, none inside another."""
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    folders = sorted({Path(sysconfig.get_path(name)).resolve() for name in names})
    return [
        folder
        for folder in folders
        if folder.is_dir() and not any(folder != other and folder.is_relative_to(other) for other in folders)
    ]


def scan(folders: Sequence[Path], found: Counter, stopped: threading.Event) -> list[FileSize]:
    """Every regular file below the folders, by path. Links are not followed, what cannot be read is left
    out."""
    files: list[FileSize] = []
    for folder in folders:
        for at, _, names in os.walk(folder):
            if stopped.is_set():
                return []
            some = [FileSize(path, size) for path, size in _sizes(Path(at), names)]
            files += some
            if some:
                found(len(some))
    return sorted(files)


def _sizes(at: Path, names: Sequence[str]) -> Iterator[tuple[Path, int]]:
    for name in names:
        path = at / name
        try:
            if path.is_file() and not path.is_symlink():
                yield path, path.stat().st_size
        except OSError:
            continue


def hash_files(files: Sequence[FileSize], hashed: Counter, stopped: threading.Event) -> Hashed:
    """Read and hash all files, saying so chunk by chunk. Returns early when ``stopped`` is set."""
    whole = hashlib.sha256()
    count = size = unreadable = 0
    for path, expected in files:
        if stopped.is_set():
            break
        try:
            digest, read = _hash(path, hashed)
        except OSError:
            unreadable += 1
            hashed(expected, {"unreadable": 1})
            continue
        whole.update(digest)
        count += 1
        size += read
        hashed(0, {"files": 1})
    return Hashed(count, size, unreadable, whole.hexdigest())


def _hash(path: Path, hashed: Counter) -> tuple[bytes, int]:
    digest = hashlib.sha256()
    size = 0
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
            hashed(len(chunk))
    return digest.digest(), size
