"""RFC 6962 tree arithmetic over SHA-256: roots, proofs and their verification, without any I/O.

Two shapes of the same tree are used. ``Edge`` is what grows: the unfinished tile of every level
(a tile is 256 hashes; level *L* holds the roots of complete subtrees of 256**L leaves), so that
appending costs one leaf hash and one node hash per event and nothing else. ``Range`` is what a
verifier needs: a stack of complete subtrees, fed from the left with leaves or whole subtrees.

Proofs are made from tiles through a ``read(level, index) -> bytes`` function given by the caller;
it may return the tile as it stands now, which holds at least what the asked size needs.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import sha256

__all__ = (
    "EMPTY_ROOT",
    "HASH_SIZE",
    "TILE_WIDTH",
    "Edge",
    "Range",
    "ReadTile",
    "consistency_proof",
    "cover",
    "inclusion_proof",
    "leaf_hash",
    "leaf_hashes",
    "node_hash",
    "range_root",
    "reduce_hashes",
    "tree_root",
    "verify_consistency",
    "verify_inclusion",
)

HASH_SIZE = 32
TILE_WIDTH = 256
_TILE_HEIGHT = 8
_TILE_BYTES = TILE_WIDTH * HASH_SIZE
EMPTY_ROOT = sha256(b"").digest()
# A copy of one that was begun costs less than a new one, and no joined bytes.
_LEAF = sha256(b"\x00")
_NODE = sha256(b"\x01")

ReadTile = Callable[[int, int], bytes]


def leaf_hash(leaf: bytes) -> bytes:
    """Hash of one leaf: SHA-256(0x00 || leaf)."""
    return sha256(b"\x00" + leaf).digest()


def leaf_hashes(leaves: Iterable[bytes]) -> bytes:
    """Hashes of many leaves, joined; the loop every appended event goes through."""
    begin = _LEAF.copy
    hashes: list[bytes] = []
    for leaf in leaves:
        one = begin()
        one.update(leaf)
        hashes.append(one.digest())
    return b"".join(hashes)


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of an inner node: SHA-256(0x01 || left || right)."""
    return sha256(b"\x01" + left + right).digest()


def reduce_hashes(hashes: bytes) -> bytes:
    """Root over neighbouring subtree roots of equal height, joined; 32 bytes come back.

    The last one may stand for a smaller subtree: an odd last hash goes up unchanged, which is what
    RFC 6962's split at the largest power of two amounts to.
    """
    begin = _NODE.copy
    while len(hashes) > HASH_SIZE:
        paired = len(hashes) & ~63
        level: list[bytes] = []
        for at in range(0, paired, 64):
            one = begin()
            one.update(hashes[at : at + 64])
            level.append(one.digest())
        if paired != len(hashes):
            level.append(hashes[paired:])
        hashes = b"".join(level)
    return hashes


class Edge:
    """The right edge of a growing tree: its size and the unfinished tile of each level.

    ``levels[L]`` joins the hashes of level *L* that are not part of a full tile yet. Two edges that
    were fed the same leaves are equal, in whatever portions the leaves came.
    """

    __slots__ = ("levels", "size")

    def __init__(self, size: int = 0, levels: Sequence[bytes] = ()) -> None:
        self.size = size
        self.levels = list(levels)
        widths = [(size >> (_TILE_HEIGHT * level)) % TILE_WIDTH * HASH_SIZE for level in range(len(levels))]
        if [len(hashes) for hashes in levels] != widths or size >> (_TILE_HEIGHT * len(levels)):
            raise ValueError(f"The tree's edge does not fit its size {size}.")

    def append(self, hashes: bytes) -> list[tuple[int, int, bytes]]:
        """Add leaf hashes (joined); the tiles that became full come back as (level, index, hashes)."""
        full: list[tuple[int, int, bytes]] = []
        self._extend(0, hashes, self.size >> _TILE_HEIGHT, full)
        self.size += len(hashes) // HASH_SIZE
        return full

    def _extend(self, level: int, hashes: bytes, index: int, full: list[tuple[int, int, bytes]]) -> None:
        if level == len(self.levels):
            self.levels.append(b"")
        joined = self.levels[level] + hashes
        roots: list[bytes] = []
        end = len(joined) - len(joined) % _TILE_BYTES
        for at in range(0, end, _TILE_BYTES):
            tile = joined[at : at + _TILE_BYTES]
            full.append((level, index, tile))
            roots.append(reduce_hashes(tile))
            index += 1
        self.levels[level] = joined[end:]
        if roots:
            self._extend(level + 1, b"".join(roots), (index - len(roots)) >> _TILE_HEIGHT, full)

    def root(self) -> bytes:
        """The tree's root; of an empty tree the hash of nothing. Costs at most 255 hashes a level."""
        below = b""
        for hashes in self.levels:
            below = reduce_hashes(hashes + below)
        return below or EMPTY_ROOT

    def copy(self) -> "Edge":
        """An edge that grows on its own from here."""
        return Edge(self.size, self.levels)


class Range:
    """The tree over a growing prefix, as a stack of complete subtrees: constant memory.

    What is pushed must fit: a subtree of 2**k leaves only where the size so far is a multiple of
    2**k. ``ValueError`` otherwise, as a proof with a hash too many or in the wrong place deserves.
    """

    __slots__ = ("_stack", "size")

    def __init__(self) -> None:
        self._stack: list[tuple[int, bytes]] = []
        self.size = 0

    def push(self, subtree: bytes, width: int = 1) -> None:
        """Put the root of the next ``width`` leaves (a power of two; 1 = a leaf hash) at the end."""
        if width < 1 or width & (width - 1) or self.size % width:
            raise ValueError(f"A subtree of {width} leaves cannot stand at index {self.size}.")
        self.size += width
        stack = self._stack
        while stack and stack[-1][0] == width:
            subtree = sha256(b"\x01" + stack.pop()[1] + subtree).digest()
            width *= 2
        stack.append((width, subtree))

    def root(self) -> bytes:
        """The root over everything pushed so far."""
        if not self._stack:
            return EMPTY_ROOT
        root = self._stack[-1][1]
        for _, left in self._stack[-2::-1]:
            root = node_hash(left, root)
        return root


def cover(start: int, end: int) -> Iterator[tuple[int, int]]:
    """The fewest complete subtrees over leaves ``start`` to ``end`` (exclusive): (first leaf, width)."""
    while start < end:
        room = 1 << ((end - start).bit_length() - 1)
        aligned = start & -start
        width = min(aligned, room) if start else room
        yield start, width
        start += width


def _subtree(read: ReadTile, start: int, width: int) -> bytes:
    height = width.bit_length() - 1
    level, rest = divmod(height, _TILE_HEIGHT)
    first = start >> (_TILE_HEIGHT * level)
    index, offset = divmod(first, TILE_WIDTH)
    hashes = read(level, index)[offset * HASH_SIZE : (offset + (1 << rest)) * HASH_SIZE]
    if len(hashes) != HASH_SIZE << rest:
        raise ValueError(f"Tile {index} of level {level} is too short for leaves {start} to {start + width}.")
    return reduce_hashes(hashes)


def range_root(read: ReadTile, start: int, end: int) -> bytes:
    """Root over leaves ``start`` to ``end``, as a node of the tree whose leaves these are."""
    if start == end:
        return EMPTY_ROOT
    parts = [_subtree(read, first, width) for first, width in cover(start, end)]
    root = parts[-1]
    for left in parts[-2::-1]:
        root = node_hash(left, root)
    return root


def tree_root(read: ReadTile, size: int) -> bytes:
    """Root of the tree over the first ``size`` leaves."""
    return range_root(read, 0, size)


def _split(size: int) -> int:
    return 1 << ((size - 1).bit_length() - 1)


def inclusion_proof(read: ReadTile, index: int, size: int) -> list[bytes]:
    """RFC 6962 audit path of leaf ``index`` in the tree of ``size`` leaves, from the leaf upwards."""
    if not 0 <= index < size:
        raise ValueError(f"Leaf {index} is not in a tree of {size} leaves.")
    start, end = 0, size
    ranges: list[tuple[int, int]] = []
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((start, middle))
            start = middle
    return [range_root(read, *pair) for pair in reversed(ranges)]


def consistency_proof(read: ReadTile, old: int, new: int) -> list[bytes]:
    """RFC 6962 proof that the first ``old`` leaves of the tree of ``new`` leaves are the old tree."""
    if not 0 <= old <= new:
        raise ValueError(f"A tree of {new} leaves cannot extend one of {old}.")
    if old in (0, new):
        return []
    start, end, whole = 0, new, True
    ranges: list[tuple[int, int]] = []
    while old != end:
        middle = start + _split(end - start)
        if old <= middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((start, middle))
            start, whole = middle, False
    if not whole:
        ranges.append((start, end))
    return [range_root(read, *pair) for pair in reversed(ranges)]


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether ``proof`` shows that the leaf with hash ``leaf`` is at ``index`` of the tree with ``root``."""
    if not 0 <= index < size:
        return False
    node, last, result = index, size - 1, leaf
    for step in proof:
        if last == 0 or len(step) != HASH_SIZE:
            return False
        if node & 1 or node == last:
            result = node_hash(step, result)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            result = node_hash(result, step)
        node, last = node >> 1, last >> 1
    return last == 0 and result == root


def verify_consistency(old: int, new: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes) -> bool:
    """Whether ``proof`` shows that the tree of ``new`` leaves extends the tree of ``old`` leaves."""
    if not 0 <= old <= new or any(len(step) != HASH_SIZE for step in proof):
        return False
    if old == new:
        return not proof and old_root == new_root
    if old == 0:
        return not proof and old_root == EMPTY_ROOT
    steps = list(proof)
    if old & (old - 1) == 0:
        steps.insert(0, old_root)
    if not steps:
        return False
    node, last = old - 1, new - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    before = after = steps[0]
    for step in steps[1:]:
        if last == 0:
            return False
        if node & 1 or node == last:
            before, after = node_hash(step, before), node_hash(step, after)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            after = node_hash(after, step)
        node, last = node >> 1, last >> 1
    return last == 0 and before == old_root and after == new_root
