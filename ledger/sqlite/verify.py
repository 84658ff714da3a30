"""Verify a ledger's file from its stored bytes: plain ``sqlite3``, read only, in constant memory.

Two passes that need nothing of each other: :func:`check_hashes` recomputes every leaf, tile and root;
:func:`check_rules` reads every event and holds the history against the rules, and the directory of runs
against the history. A large file is given to two processes where one may be forked, else read twice in one.
"""

import mmap
import multiprocessing
import sqlite3
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import msgspec

from ..audit.merkle import HASH_SIZE, TILE_WIDTH, Edge, leaf_hashes
from ..audit.note import Checkpoint, InvalidNote, VerifierKey, parse_checkpoint, parse_note
from ..audit.verify import MAX_FINDINGS, Finding, RuleCheck, Seen
from ..events import Event
from .file import connect_reader
from .prune import unrecorded
from .tree import LogDamaged, StoredCheckpoint, checkpoints, load_edge, read_tile

__all__ = ("FileReport", "HashReport", "RuleReport", "check_hashes", "check_rules", "verify_file")

_PORTION = 16 * TILE_WIDTH
_ROWS = 256
"""Events held against the rules at a time: they stay in the processor's cache, and the largest there may be
take some tens of megabytes."""
_TWO_PROCESSES = 100_000


class HashReport(NamedTuple):
    """What the hashes say: ``roots`` by size for every size that was asked for."""

    size: int
    root: bytes
    tree_size: int
    pruned: int
    roots: dict[int, bytes]
    findings: list[Finding]


class RuleReport(NamedTuple):
    """What the events say: how many, of how many runs, and what breaks the rules."""

    events: int
    runs: int
    unknown: int
    findings: list[Finding]
    more: int


class FileReport(msgspec.Struct, kw_only=True):
    """The verdict on a file. ``trusted`` is the size up to which it agrees with ``trusted_by``."""

    ok: bool
    epoch: str
    size: int
    root: str
    tree_size: int
    runs: int
    pruned: int
    unknown: int
    checkpoints: int
    trusted: int
    trusted_by: str
    findings: list[Finding]
    more: int = 0


def check_hashes(path: Path, sizes: Sequence[int], *, end: int | None = None) -> HashReport:
    """Recompute leaves, tiles and the roots at ``sizes`` from the bytes of the first ``end`` events."""
    with closing(connect_reader(path, busy_timeout=5)) as connection:
        connection.text_factory = bytes
        return _Hashes(connection, sizes, end).run()


_BODIES = "SELECT body FROM event WHERE position > ? AND position <= ? ORDER BY position"
_PLACES = _BODIES.replace("SELECT ", "SELECT position, ")


class _Hashes:
    def __init__(self, connection: sqlite3.Connection, sizes: Sequence[int], end: int | None) -> None:
        self.file = connection
        self.findings: list[Finding] = []
        self.edge = Edge()
        self.pruned = 0
        self.head: int = connection.execute("SELECT position FROM ledger").fetchone()[0]
        self.last: int = connection.execute("SELECT coalesce(max(position), 0) FROM event").fetchone()[0]
        try:
            self.stored = load_edge(connection)
        except LogDamaged as error:
            self.stored = Edge()
            self._add("tree_damaged", str(error))
        self.end = max(self.last, self.stored.size if end is None else 0)
        self.end = self.end if end is None else min(self.end, end)
        self.stops = sorted({*sizes, self.stored.size, self.end})
        self.roots: dict[int, bytes] = {}

    def run(self) -> HashReport:
        edge = self.edge
        if self.head != self.last:
            kind = "tail_cut" if self.head > self.last else "wrong_head"
            self._add(
                kind, f"The log was at position {self.head}; its last event is {self.last}.", self.last + 1
            )
        for stop in self.stops:
            while edge.size < min(stop, self.end):
                self._portion(min(_PORTION - edge.size % _PORTION, stop - edge.size))
            if edge.size == stop:
                self.roots[stop] = edge.root()
                if stop == self.stored.size and edge.levels != self.stored.levels:
                    self._compare_edge()
        return HashReport(
            edge.size, edge.root(), self.stored.size, self.pruned, self.roots, self.findings[:MAX_FINDINGS]
        )

    def _portion(self, limit: int) -> None:
        start = self.edge.size
        try:
            hashes = leaf_hashes(chain.from_iterable(self.file.execute(_BODIES, (start, start + limit))))
        except TypeError:
            hashes = b""  # a pruned event has no body
        # Positions are unique: as many as there is room for are all of them.
        if len(hashes) != limit * HASH_SIZE:
            rows = self.file.execute(_PLACES, (start, start + limit)).fetchall()
            hashes = self._with_gaps(start, limit, dict(rows))
        for level, number, tile in self.edge.append(hashes):
            if self.stored.size >> (8 * (level + 1)) > number:
                self._compare(level, number, tile)

    def _with_gaps(self, start: int, limit: int, bodies: dict[int, bytes | None]) -> bytes:
        """Leaf hashes where events were pruned or are missing: those come from the tiles."""
        parts: list[bytes] = []
        for position in range(start + 1, start + limit + 1):
            body = bodies.get(position)
            if body is not None:
                parts.append(leaf_hashes((body,)))
                continue
            if position in bodies:
                self.pruned += 1
            else:
                self._add("missing_event", f"There is no event at position {position}.", position)
            number, offset = divmod(position - 1, TILE_WIDTH)
            tile = self._tile(0, number)[offset * HASH_SIZE : (offset + 1) * HASH_SIZE]
            parts.append(tile or bytes(HASH_SIZE))
            if not tile:
                self._add("hash_lost", f"Event and hash of position {position} are both gone.", position)
        return b"".join(parts)

    def _tile(self, level: int, number: int) -> bytes:
        try:
            return read_tile(self.file, self.stored, level, number)
        except LogDamaged:
            return b""

    def _compare(self, level: int, number: int, tile: bytes) -> None:
        stored = self._tile(level, number)
        if stored == tile:
            return
        if not stored:
            self._add("tree_damaged", f"Tile {number} of level {level} is missing or cut.")
        elif level:
            if not self.findings:
                self._add("tree_damaged", f"Tile {number} of level {level} is not that of the tiles below.")
        else:
            self._compare_leaves(number, tile, stored)

    def _compare_edge(self) -> None:
        before = len(self.findings)
        if self.stored.levels:
            number = self.stored.size // TILE_WIDTH
            self._compare_leaves(number, self.edge.levels[0], self.stored.levels[0])
        if len(self.findings) == before and not before:
            self._add("tree_damaged", "The stored edge of the tree is not that of the events.")

    def _compare_leaves(self, number: int, hashes: bytes, stored: bytes) -> None:
        for at in range(0, len(hashes), HASH_SIZE):
            if stored[at : at + HASH_SIZE] != hashes[at : at + HASH_SIZE]:
                position = number * TILE_WIDTH + at // HASH_SIZE + 1
                self._add("changed_event", "The stored bytes have not the hash they had.", position)

    def _add(self, kind: str, message: str, position: int | None = None) -> None:
        if len(self.findings) <= MAX_FINDINGS:
            self.findings.append(Finding(kind=kind, message=message, position=position))


def check_rules(
    path: Path, *, end: int | None = None, on_event: Callable[[Event], object] | None = None
) -> RuleReport:
    """Hold every event against the rules, and each run's row against its events."""
    with (
        closing(connect_reader(path, busy_timeout=5)) as connection,
        closing(connect_reader(path, busy_timeout=5)) as events,
    ):
        events.text_factory = bytes
        check = RuleCheck()
        runs, at = 0, 0
        (last,) = connection.execute("SELECT coalesce(max(position), 0) FROM event").fetchone()
        last = last if end is None else min(last, end)
        while at < last:
            through = min(at + _ROWS, last)
            ended = check.feed(events.execute(_EVENTS, (at, through)).fetchall(), on_event=on_event)
            at = through
            runs += len(ended)
            _check_rows(connection, check, ended, live=end is not None)
        rest = check.rest()
        _check_rows(connection, check, rest, live=end is not None)
        runs += len(rest)
        (listed,) = connection.execute("SELECT count(*) FROM run").fetchone()
        if end is None and listed != runs:
            message = f"The directory lists {listed} runs, the log has events of {runs}."
            check.findings.append(Finding(kind="wrong_directory", message=message))
        return RuleReport(check.events, runs, check.unknown, check.findings, check.more)


_EVENTS = (
    "SELECT position, run, previous, body FROM event WHERE position > ? AND position <= ? ORDER BY position"
)
_ROW = "SELECT number, run_id, kind, status, version, first, last, time, pruned FROM run WHERE number = ?"


def _check_rows(
    connection: sqlite3.Connection, check: RuleCheck, seen: Sequence[Seen], *, live: bool
) -> None:
    for run in seen:
        row = connection.execute(_ROW, (run.number,)).fetchone()
        pruned = check.pruned(run.number)
        if row is None:
            problem = "The run is not in the directory."
        elif pruned:
            if row[8] is not None and (row[4], row[5], row[6]) == (run.version, run.first, run.last):
                continue
            problem = "Its events were removed, but the directory does not say that the run was pruned."
        elif row[:8] == tuple(run) or (live and row[1] == run.run_id and row[4] >= run.version):
            continue
        else:
            problem = f"The directory's entry {row[1:8]} is not what the events say: {tuple(run)[1:]}."
        check.findings.append(
            Finding(kind="wrong_directory", message=problem, position=run.first, run_id=run.run_id or None)
        )


def verify_file(
    path: Path,
    *,
    kept: Sequence[Checkpoint] = (),
    notes: Sequence[str] = (),
    key: VerifierKey | None = None,
    rules: bool = True,
) -> FileReport:
    """The whole verdict on the file at ``path`` as it stands now; other processes may go on writing it.

    ``kept`` are heads the caller trusts, ``notes`` signed checkpoints he holds, ``key`` the log's public
    key: every stored checkpoint that is signed must then be signed with it.
    """
    connection = connect_reader(path, busy_timeout=5)
    try:
        epoch, head = connection.execute("SELECT epoch, position FROM ledger").fetchone()
        stored = checkpoints(connection)
        silent = unrecorded(connection)
    finally:
        connection.close()
    held = [*kept, *(parse_checkpoint(note) for note in notes)]
    sizes = sorted({*(one.size for one in stored), *(one.size for one in held)})
    # Only a process without other threads may be forked, and any other way to start one would run the
    # caller's script a second time.
    forks = threading.active_count() == 1 and "fork" in multiprocessing.get_all_start_methods()
    if rules and head >= _TWO_PROCESSES and forks:
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as pool:
            other = pool.submit(check_rules, path)
            hashes = check_hashes(path, sizes)
            history = other.result()
    else:
        hashes = check_hashes(path, sizes)
        history = check_rules(path) if rules else RuleReport(hashes.size, 0, 0, [], 0)
    findings = [*hashes.findings, *history.findings]
    if silent:
        message = f"{silent} runs were removed without a record of it in the log."
        findings.append(Finding(kind="removed_unrecorded", message=message))
    findings += _against_stored(stored, hashes, key)
    findings += _against_held(held, notes, hashes, key)
    findings.sort(key=lambda finding: finding.position or 1 << 63)
    first = min((finding.position for finding in findings if finding.position), default=hashes.size + 1)
    trusted, by = _trusted(held, stored, hashes, first)
    if findings:
        _name_run(path, findings[0])
    return FileReport(
        ok=not findings,
        epoch=epoch,
        size=hashes.size,
        root=hashes.root.hex(),
        tree_size=hashes.tree_size,
        runs=history.runs,
        pruned=hashes.pruned,
        unknown=history.unknown,
        checkpoints=len(stored) + len(held),
        trusted=trusted,
        trusted_by=by,
        findings=findings[:MAX_FINDINGS],
        more=history.more + max(0, len(findings) - MAX_FINDINGS),
    )


def _against_stored(
    stored: Sequence[StoredCheckpoint], hashes: HashReport, key: VerifierKey | None
) -> list[Finding]:
    findings: list[Finding] = []
    for one in stored:
        name = f"The checkpoint of size {one.size} made {one.time}"
        try:
            head = parse_checkpoint(one.note)
        except InvalidNote:
            findings.append(Finding(kind="checkpoint_damaged", message=f"{name} cannot be read."))
            continue
        if (head.size, head.root) != (one.size, one.root):
            findings.append(Finding(kind="checkpoint_damaged", message=f"{name} contradicts itself."))
        elif hashes.roots.get(one.size) != one.root:
            findings.append(Finding(kind="checkpoint_broken", message=f"{name} is not of this history."))
        elif key is not None and "\n\n" in one.note and not key.signed(parse_note(one.note)):
            findings.append(Finding(kind="bad_signature", message=f"{name} is not signed with the key."))
    return findings


def _against_held(
    held: Sequence[Checkpoint], notes: Sequence[str], hashes: HashReport, key: VerifierKey | None
) -> list[Finding]:
    findings: list[Finding] = []
    for one in held:
        if one.size > hashes.size:
            message = (
                f"You hold a checkpoint of {one.size} events; the log has {hashes.size}: its end was cut off."
            )
            findings.append(Finding(kind="rolled_back", message=message, position=hashes.size + 1))
        elif hashes.roots.get(one.size) != one.root:
            message = f"The first {one.size} events are not those of the checkpoint that you hold."
            findings.append(Finding(kind="history_rewritten", message=message))
    for note in notes if key is not None else ():
        if not key or "\n\n" not in note or not key.signed(parse_note(note)):
            message = "The checkpoint that you hold is not signed with the key that you gave."
            findings.append(Finding(kind="bad_signature", message=message))
    return findings


def _trusted(
    held: Sequence[Checkpoint], stored: Sequence[StoredCheckpoint], hashes: HashReport, first: int
) -> tuple[int, str]:
    for heads, by in ((held, "the checkpoint you hold"), (stored, "a checkpoint in the file itself")):
        good = [one.size for one in heads if one.size < first and hashes.roots.get(one.size) == one.root]
        if good:
            return max(good), by
    return first - 1, "the stored hashes alone"


def _name_run(path: Path, finding: Finding) -> None:
    """Add run and byte range to a finding that has a position, where they can be told."""
    if finding.position is None:
        return
    connection = connect_reader(path, busy_timeout=5)
    try:
        row = connection.execute(
            "SELECT r.run_id, CAST(e.body AS BLOB) FROM event AS e JOIN run AS r ON r.number = e.run"
            " WHERE e.position = ?",
            (finding.position,),
        ).fetchone()
    finally:
        connection.close()
    if row is None:
        return
    finding.run_id = finding.run_id or row[0]
    if row[1] is not None and path.stat().st_size:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            at = content.find(row[1])
            if at >= 0:
                finding.start, finding.end = at, at + len(row[1])
