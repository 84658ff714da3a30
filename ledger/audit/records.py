"""A long list of small items that waits on the disk."""

import struct
import tempfile
import weakref
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar, overload

__all__ = ("Records",)

_T = TypeVar("_T")

_IN_MEMORY = 1 << 20
_AT_A_TIME = 1024


class Records(Sequence[_T]):
    """Items that are appended and then read: a megabyte of memory at most, however many there are.

    Beyond that they lie in a temporary file without a name, in ``folder`` or where the system keeps such
    files, and are gone with the list. ``form`` is the ``struct`` format of an item, which ``pack`` and
    ``unpack`` turn into its values and back. Appending raises OSError when that disk is full.
    """

    def __init__(
        self,
        form: str,
        pack: Callable[[_T], tuple[Any, ...]],
        unpack: Callable[[tuple[Any, ...]], _T],
        *,
        folder: Path | None = None,
    ) -> None:
        self._form = struct.Struct(form)
        self._pack = pack
        self._unpack = unpack
        self._file = tempfile.SpooledTemporaryFile(  # noqa: SIM115 - lives with the list
            _IN_MEMORY, dir=None if folder is None else str(folder)
        )
        self._count = 0
        weakref.finalize(self, self._file.close)

    def append(self, item: _T) -> None:
        """Put an item at the end."""
        self._file.seek(0, 2)
        self._file.write(self._form.pack(*self._pack(item)))
        self._count += 1

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> _T: ...
    @overload
    def __getitem__(self, index: slice) -> list[_T]: ...
    def __getitem__(self, index: int | slice) -> _T | list[_T]:
        chosen = range(self._count)[index]
        if isinstance(chosen, range):
            return [self[at] for at in chosen]
        return self._unpack(self._form.unpack(self._read(chosen, 1)))

    def __iter__(self) -> Iterator[_T]:
        for start in range(0, self._count, _AT_A_TIME):
            block = self._read(start, min(_AT_A_TIME, self._count - start))
            yield from map(self._unpack, self._form.iter_unpack(block))

    def _read(self, start: int, count: int) -> bytes:
        self._file.seek(start * self._form.size)
        return self._file.read(count * self._form.size)
