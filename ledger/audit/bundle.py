"""A bundle: events as lines, and beside them a manifest that ties them to a checkpoint.

The events file holds the wire form of each event, one a line, in position order; ``.gz`` when packed.
The manifest, ``<events file>.manifest.json``, says which leaves of the tree these are (``leaves``: index
of the first, how many, …) and gives the root of every complete subtree between them (``hashes``, left to
right, as wide as they fit: :func:`.merkle.cover`). Leaves and hashes together are the whole tree: a verifier
who pushes both from left to right meets the checkpoint's root, or something was changed, cut or added. An
entry of ``leaves`` with the count 0 only splits a subtree there: at the size of an older checkpoint, whose
root the verifier then meets on the way.

A position is the leaf's index plus one. ``marks`` are no proof: they help to say which event was changed.
"""

import base64
import itertools
import json
import re
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import msgspec

from ..errors import LedgerError
from .merkle import HASH_SIZE, Range, cover, leaf_hash
from .note import Checkpoint, parse_checkpoint
from .records import Records

__all__ = (
    "BUNDLE_FORMAT",
    "BundleDamaged",
    "BundleEvent",
    "BundleProof",
    "BundleReader",
    "Manifest",
    "parse_line",
    "parse_manifest",
    "verifier_script",
)

BUNDLE_FORMAT = "progress-ledger-bundle/1"
_EACH, _PORTION, _MARK = 4096, 256, 6

_LINE = re.compile(
    rb'\{"position":([1-9]\d{0,18}),'
    rb'("run_id":"([^"\\]{1,128})","version":([1-9]\d{0,18}),"time":"([0-9T:.\-]{26}Z)","type":"([a-z_]{1,64})",'
    rb'"data":\{.*\}(?:,"event_id":".*")?\})'
)


class BundleDamaged(LedgerError):
    """The bundle does not hold together, or does not fit what it is checked against.

    ``position`` is the first event that is known to be wrong, ``run_id`` its run, ``start`` and ``end`` the
    bytes of the events file where it is; None where that cannot be told.
    """

    code = "bundle_damaged"

    def __init__(
        self,
        message: str,
        *,
        position: int | None = None,
        run_id: str | None = None,
        start: int | None = None,
        end: int | None = None,
    ) -> None:
        super().__init__(message)
        self.position = position
        self.run_id = run_id
        self.start = start
        self.end = end

    def fields(self) -> dict[str, object]:
        return {"position": self.position, "run_id": self.run_id, "start": self.start, "end": self.end}


class Manifest(msgspec.Struct, kw_only=True, omit_defaults=False):
    """What a bundle says of itself. Without a key ``checkpoint`` is the bare text of one.

    ``leaves`` and ``hashes`` grow with the gaps between the events shown: an export keeps them on the disk.
    """

    format: str
    epoch: str
    created: str
    selection: dict[str, str]
    events: int
    size: int
    root: str
    checkpoint: str
    public_key: str | None
    leaves: Sequence[tuple[int, int]]
    hashes: Sequence[str]
    marks: str = ""

    def head(self) -> Checkpoint:
        """The checkpoint's size and root; raises BundleDamaged when the manifest contradicts itself."""
        head = parse_checkpoint(self.checkpoint)
        if (head.size, base64.b64encode(head.root).decode()) != (self.size, self.root):
            raise BundleDamaged("The manifest's size and root are not those of its checkpoint.")
        return head

    def encode(self) -> bytes:
        """The manifest's file: JSON, a field a line."""
        return b"".join(self.chunks())

    def chunks(self) -> Iterator[bytes]:
        """The manifest's file piece by piece, for one that is longer than memory is wide."""
        before = "{"
        for name in self.__struct_fields__:
            value = getattr(self, name)
            yield f"{before}{json.dumps(name)}: ".encode()
            before = ",\n "
            if name in ("leaves", "hashes"):
                yield from _array(value)
            else:
                yield json.dumps(value, separators=(",", ":")).encode()
        yield b"}\n"


def _array(items: Sequence[object]) -> Iterator[bytes]:
    yield b"["
    rest = iter(items)
    comma = b""
    while some := list(itertools.islice(rest, _EACH)):
        yield comma + msgspec.json.encode(some)[1:-1]
        comma = b","
    yield b"]"


def parse_manifest(data: bytes) -> Manifest:
    """Read a manifest; raises BundleDamaged when it is none of this format."""
    try:
        manifest = msgspec.json.decode(data, type=Manifest)
    except msgspec.MsgspecError as error:
        raise BundleDamaged(f"This is no bundle's manifest: {error}.") from None
    if manifest.format != BUNDLE_FORMAT:
        raise BundleDamaged(
            f"The bundle's format is {manifest.format!r}; this release reads {BUNDLE_FORMAT!r}."
        )
    manifest.head()
    return manifest


class BundleEvent(NamedTuple):
    """A line of a bundle: its place, what is hashed (``body``), and the fields read from it."""

    position: int
    body: bytes
    run_id: str
    version: int
    time: str
    type: str


def parse_line(line: bytes) -> BundleEvent | None:
    """An event's wire form (without newline) taken apart, or None when it has not that framing."""
    match = _LINE.fullmatch(line)
    if match is None:
        return None
    return BundleEvent(
        int(match[1]), b"{" + match[2], match[3].decode(), int(match[4]), match[5].decode(), match[6].decode()
    )


def _same(pair: tuple[int, int]) -> tuple[int, int]:
    return pair


def _to_hash(text: str) -> tuple[bytes]:
    return (base64.b64decode(text),)


def _from_hash(record: tuple[bytes]) -> str:
    return base64.b64encode(record[0]).decode()


class BundleProof:
    """Collects, while events are written, what the manifest needs to say about them.

    ``subtree(start, width)`` gives the root of a complete subtree. Leaves are added in order. ``splits`` are
    the sizes of older checkpoints that a verifier may hold; those that fall inside a gap are kept apart.
    What grows with the gaps waits in a temporary file, in ``folder`` or where the system keeps such files.
    """

    def __init__(
        self,
        size: int,
        subtree: Callable[[int, int], bytes],
        *,
        splits: Sequence[int] = (),
        folder: Path | None = None,
    ) -> None:
        self.size = size
        self.leaves: Records[tuple[int, int]] = Records("<qq", _same, _same, folder=folder)
        self.hashes: Records[str] = Records("32s", _to_hash, _from_hash, folder=folder)
        self.events = 0
        self._stretch: tuple[int, int] | None = None
        self._subtree = subtree
        self._splits = sorted((split for split in set(splits) if 0 < split < size), reverse=True)
        self._at = 0
        self._marks = _Marks()

    def add(self, index: int, hashes: bytes) -> None:
        """The events of leaf ``index`` and on come next; ``hashes`` are their leaf hashes, joined."""
        self._skip(index)
        count = len(hashes) // HASH_SIZE
        if self._stretch is not None and sum(self._stretch) == index:
            self._stretch = (self._stretch[0], self._stretch[1] + count)
        else:
            self._end_stretch()
            self._stretch = (index, count)
        self._at = index + count
        self.events += count
        self._marks.add(hashes)

    def finish(self) -> None:
        """No more events: the rest of the tree is covered by hashes."""
        self._skip(self.size)
        self._end_stretch()

    @property
    def marks(self) -> str:
        """The manifest's ``marks``."""
        return base64.b64encode(self._marks.all()).decode()

    def _skip(self, end: int) -> None:
        while self._splits and self._splits[-1] <= end:
            split = self._splits.pop()
            if self._at < split < end:
                self._cover(split)
                self._end_stretch()
                self.leaves.append((split, 0))
        self._cover(end)

    def _end_stretch(self) -> None:
        if self._stretch is not None:
            self.leaves.append(self._stretch)
            self._stretch = None

    def _cover(self, end: int) -> None:
        for start, width in cover(self._at, end):
            self.hashes.append(base64.b64encode(self._subtree(start, width)).decode())
        self._at = max(self._at, end)


class _Marks:
    """The first bytes of each leaf hash; past a few thousand events, of the hash of each 256 of them."""

    def __init__(self) -> None:
        self.single = bytearray()
        self.joined = bytearray()
        self.part = sha256()
        self.count = 0

    def add(self, hashes: bytes) -> None:
        for at in range(0, max(0, min(len(hashes), (_EACH - self.count) * HASH_SIZE)), HASH_SIZE):
            self.single += hashes[at : at + _MARK]
        while hashes:
            part = hashes[: (_PORTION - self.count % _PORTION) * HASH_SIZE]
            hashes = hashes[len(part) :]
            self.part.update(part)
            self.count += len(part) // HASH_SIZE
            if self.count % _PORTION == 0:
                self.joined += self.part.digest()[:_MARK]
                self.part = sha256()

    def all(self) -> bytes:
        if self.count <= _EACH:
            return bytes(self.single)
        tail = self.part.digest()[:_MARK] if self.count % _PORTION else b""
        return bytes(self.joined + tail)


class BundleReader:
    """Reads a bundle's lines against its manifest, in constant memory, and ends in a verdict.

    Iterate :meth:`events` to the end, then the events are proven to be in the tree of the manifest's
    checkpoint, at their positions, unchanged: anything else raises BundleDamaged. ``roots`` then
    holds the root at each size in ``sizes`` that the proof passes.
    """

    def __init__(self, manifest: Manifest, *, sizes: Sequence[int] = ()) -> None:
        self.manifest = manifest
        self.head = manifest.head()
        self.roots: dict[int, bytes] = {}
        self._sizes = set(sizes)
        self._range = Range()
        self._marks = _Marks()
        self._expected = base64.b64decode(manifest.marks)
        self._offset = 0

    def events(self, lines: Iterator[bytes]) -> Iterator[tuple[int, BundleEvent]]:
        """Each event with the byte where its line begins; ``lines`` keep their newlines."""
        hashes = iter(self.manifest.hashes)
        suspects: list[tuple[int, int, str, int]] = []
        for first, count in itertools.chain(self.manifest.leaves, [(self.head.size, 0)]):
            if first < self._range.size or first + count > self.head.size or count < 0:
                raise BundleDamaged("The manifest's list of leaves is not in order.")
            self._gap(first, hashes)
            for index in range(first, first + count):
                line = next(lines, b"")
                event = parse_line(line.removesuffix(b"\n"))
                if event is None or event.position != index + 1:
                    raise BundleDamaged(
                        f"Position {index + 1} should be here, but the line is "
                        + ("missing." if not line else f"{line[:80]!r}."),
                        position=index + 1,
                        run_id=event.run_id if event else None,
                        start=self._offset,
                        end=self._offset + len(line),
                    )
                leaf = leaf_hash(event.body)
                self._push(leaf, 1)
                self._check_mark(leaf, event, len(line), suspects)
                yield self._offset, event
                self._offset += len(line)
        if next(lines, None) is not None or next(hashes, None) is not None:
            raise BundleDamaged(
                "The bundle has more lines or hashes than its manifest lists.", start=self._offset
            )
        if self._range.size != self.head.size or self._range.root() != self.head.root:
            raise self._verdict(suspects)

    def _gap(self, end: int, hashes: Iterator[str]) -> None:
        for _, width in cover(self._range.size, end):
            try:
                node = base64.b64decode(next(hashes, ""))
            except ValueError:
                raise BundleDamaged("A hash of the manifest is not base64.") from None
            self._push(node, width)

    def _push(self, node: bytes, width: int) -> None:
        self._range.push(node, width)
        if self._range.size in self._sizes:
            self.roots[self._range.size] = self._range.root()

    def _check_mark(
        self, leaf: bytes, event: BundleEvent, length: int, suspects: list[tuple[int, int, str, int]]
    ) -> None:
        total = self.manifest.events
        self._marks.add(leaf)
        if not suspects and total <= _EACH:
            at = (self._marks.count - 1) * _MARK
            if self._expected[at : at + _MARK] != leaf[:_MARK]:
                suspects.append((event.position, self._offset, event.run_id, self._offset + length))
        elif not suspects and self._marks.count % _PORTION == 0:
            at = (self._marks.count // _PORTION - 1) * _MARK
            if self._expected[at : at + _MARK] != bytes(self._marks.joined[-_MARK:]):
                suspects.append((event.position - _PORTION + 1, self._offset, event.run_id, self._offset))

    def _verdict(self, suspects: list[tuple[int, int, str, int]]) -> BundleDamaged:
        message = "Events and proof do not give the checkpoint's root: something was changed, cut or added"
        if not suspects:
            return BundleDamaged(f"{message}; which event it is cannot be told.")
        position, start, run_id, end = suspects[0]
        about = f"by the bundle's marks first at position {position} of run {run_id}, bytes {start} to {end}"
        return BundleDamaged(f"{message}; {about}.", position=position, run_id=run_id, start=start, end=end)


def verifier_script() -> str:
    """The independent verifier's source: one file, standard library only."""
    return Path(__file__).with_name("_bundle_verifier.py").read_text("utf-8")
