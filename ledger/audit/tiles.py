"""C2SP ``tlog-tiles``: where a tile lives in URL space and what an entry bundle looks like.

A path is ``tile/<L>/<N>[.p/<W>]`` or ``tile/entries/<N>[.p/<W>]``; ``<N>`` is written in groups of
three digits, all but the last led by ``x`` (1234067 is ``x001/x234/067``); ``.p/<W>`` asks for the
first *W* hashes of a tile that is not full.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

__all__ = ("TilePath", "entry_bundle", "parse_entries", "parse_tile_path", "tile_path", "tile_width")

_WIDTH = 256
_MAX_LEAF = 65_535
_PATH = re.compile(r"(entries|[0-9]|[1-5][0-9]|6[0-3])/((?:x[0-9]{3}/)*[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?")


class TilePath(NamedTuple):
    """A place: ``level`` 0 to 63, or None for an entry bundle; ``width`` 1 to 256, 256 when not partial."""

    level: int | None
    number: int
    width: int = _WIDTH


def tile_path(level: int | None, index: int, width: int = _WIDTH) -> str:
    """The path of a tile (``level`` None: of an entry bundle), without a leading slash."""
    digits = str(index)
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    groups = [digits[at : at + 3] for at in range(0, len(digits), 3)]
    name = "/".join([*("x" + group for group in groups[:-1]), groups[-1]])
    partial = "" if width == _WIDTH else f".p/{width}"
    return f"tile/{'entries' if level is None else level}/{name}{partial}"


def parse_tile_path(path: str) -> TilePath | None:
    """The place that ``path`` (what follows ``tile/``) names, or None when it is no canonical path."""
    match = _PATH.fullmatch(path)
    if match is None:
        return None
    level = None if match[1] == "entries" else int(match[1])
    place = TilePath(level, int(match[2].replace("x", "").replace("/", "")), int(match[3] or _WIDTH))
    return place if tile_path(*place) == f"tile/{path}" else None


def tile_width(level: int, index: int, size: int) -> int:
    """How many hashes tile ``index`` of ``level`` has in a tree of ``size`` leaves: 0 to 256."""
    return max(0, min(_WIDTH, (size >> (8 * level)) - index * _WIDTH))


def entry_bundle(leaves: Iterable[bytes]) -> bytes:
    """Leaves one after the other, each after its length as two bytes, the larger first."""
    parts: list[bytes] = []
    for leaf in leaves:
        if len(leaf) > _MAX_LEAF:
            raise ValueError(
                f"A leaf of {len(leaf)} bytes is over the {_MAX_LEAF} that an entry bundle holds."
            )
        parts += (len(leaf).to_bytes(2, "big"), leaf)
    return b"".join(parts)


def parse_entries(data: bytes) -> list[bytes]:
    """The leaves of an entry bundle; ``ValueError`` when it is cut."""
    leaves: list[bytes] = []
    at = 0
    while at < len(data):
        end = at + 2 + int.from_bytes(data[at : at + 2], "big")
        if at + 2 > len(data) or end > len(data):
            raise ValueError(f"The entry bundle ends inside the leaf at byte {at}.")
        leaves.append(data[at + 2 : end])
        at = end
    return leaves
