"""What was said and acknowledged, held against what is in the file. Reads the file with plain ``sqlite3``."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from .folding import TERMINAL, Fold, first, then, token_of

_decode = msgspec.json.Decoder(dict[str, Any]).decode


class Broken(AssertionError):
    """A promise of the product does not hold."""


class Ack(NamedTuple):
    """What a producer was told about one event; without a receipt the numbers are None."""

    token: str
    run_id: str
    position: int | None
    version: int | None


class Model:
    """Everything the producers know, and the log as far as it was read."""

    def __init__(self, db: Path) -> None:
        self.db = db
        self.said: dict[str, str] = {}
        self.acks: list[Ack] = []
        self.sums: list[tuple[str, int]] = []
        self.living: set[str] = set()
        self.runs: dict[str, list[Fold]] = {}
        self.by_position: list[str] = []
        self.found: dict[str, int] = {}
        self.position = 0
        self.epochs: list[str] = []
        self.cut_away = 0
        self.cuts = 0
        self.checked = 0
        self._acks_checked = 0
        self._numbers: dict[int, str] = {}
        self._unsaid: list[tuple[str, str, str]] = []

    # ── what producers say ──────────────────────────────────────────────────────────────────────────────

    def say(self, token: str, run_id: str) -> None:
        self.said[token] = run_id

    def ack(self, token: str, run_id: str, position: int | None = None, version: int | None = None) -> None:
        self.acks.append(Ack(token, run_id, position, version))

    # ── what the file holds ─────────────────────────────────────────────────────────────────────────────

    def check(self) -> None:
        """Read what is new in the log and hold all that was acknowledged until now against it."""
        for where, token, run_id in self._unsaid:
            if self.said.get(token) != run_id:
                raise Broken(f"{where}: nobody said {token!r} there")
        self._unsaid.clear()
        acks, sums = self.acks[self._acks_checked :], list(self.sums)
        self.read(self.db)
        for ack in acks:
            position = self.found.get(ack.token)
            if position is None:
                raise Broken(f"{ack} was acknowledged and is not in the log")
            if ack.position is not None and (position, self.run_at(position)) != (ack.position, ack.run_id):
                raise Broken(f"{ack} is in the log at {position}, as of {self.run_at(position)}")
            if ack.version is not None and self.runs[ack.run_id][ack.version - 1].position != position:
                raise Broken(f"{ack} has another version in the log")
        self._acks_checked += len(acks)
        for run_id, total in sums:
            if self.runs[run_id][-1].done != total:
                raise Broken(f"{run_id} advanced by {total} in all, the log has {self.runs[run_id][-1].done}")

    def read(self, db: Path) -> None:
        """Take in the events after those read before; raises Broken for anything out of order."""
        with closing(sqlite3.connect(db, timeout=20, isolation_level=None)) as file:
            file.execute("PRAGMA query_only = 1")
            file.execute("BEGIN")
            epoch, head = file.execute("SELECT epoch, position FROM ledger").fetchone()
            if not self.epochs or self.epochs[-1] != epoch:
                self.epochs.append(epoch)
            rows = file.execute(
                "SELECT position, run, previous, body FROM event WHERE position > ? ORDER BY position",
                (self.position,),
            )
            for row in rows:
                self._take(*row)
        if self.position != head:
            raise Broken(f"the log says its head is {head}, and its last event is {self.position}")

    def _take(self, position: int, number: int, previous: int, body: str) -> None:
        event = _decode(body)
        run_id, version, kind, data = event["run_id"], event["version"], event["type"], event["data"]
        where = f"position {position}, {run_id} v{version} {kind}"
        if position != self.position + 1:
            raise Broken(f"{where}: the position before is {self.position}")
        if self._numbers.setdefault(number, run_id) != run_id:
            raise Broken(f"{where}: filed under {self._numbers[number]}")
        course = self.runs.setdefault(run_id, [])
        last = course[-1] if course else None
        if version != len(course) + 1 or previous != (last.position if last else 0):
            raise Broken(f"{where}: the run had {len(course)} events, previous is {previous}")
        if last is not None and (event["time"] < last.time or last.type in TERMINAL):
            raise Broken(f"{where}: after {last.type} of {last.time}, at {event['time']}")
        self._known(where, run_id, kind, data, position)
        course.append(first(event, position) if last is None else then(last, event, position))
        self.by_position.append(run_id)
        self.position = position
        self.checked += 1

    def _known(self, where: str, run_id: str, kind: str, data: Mapping[str, Any], position: int) -> None:
        token = token_of(kind, data)
        if kind == "interrupted":
            if run_id in self.living:
                raise Broken(f"{where}: its producer lives: {data['reason']}")
        elif token is not None:
            if self.said.get(token) != run_id:
                # Another process's word may still be on its way here: it has until the next check.
                self._unsaid.append((where, token, run_id))
            if token in self.found:
                raise Broken(f"{where}: {token!r} is at {self.found[token]} already")
            self.found[token] = position
        elif kind not in ("ticked", "heartbeat"):
            raise Broken(f"{where}: nobody said that")

    def run_at(self, position: int) -> str:
        return self.by_position[position - 1]

    def fold(self, run_id: str, version: int) -> Fold | None:
        """The run after its event ``version``, as far as the log was read."""
        course = self.runs.get(run_id, ())
        return course[version - 1] if 0 < version <= len(course) else None

    def active(self) -> list[str]:
        """Runs that had not ended when the log was last read, oldest first."""
        return [run_id for run_id, course in self.runs.items() if course[-1].type not in TERMINAL]

    def changed_after(self, position: int) -> Iterable[tuple[str, Fold]]:
        """The newest state of the runs that have an event after a position."""
        for run_id in dict.fromkeys(self.by_position[position:]):
            yield run_id, self.runs[run_id][-1]

    def cut(self, position: int) -> int:
        """The log was cut behind a position by a fault that no log survives: forget what came later."""
        gone = self.position - position
        del self.by_position[position:]
        for run_id in list(self.runs):
            self.runs[run_id] = [fold for fold in self.runs[run_id] if fold.position <= position]
            if not self.runs[run_id]:
                del self.runs[run_id]
        self.found = {token: at for token, at in self.found.items() if at <= position}
        self._numbers = {number: run for number, run in self._numbers.items() if run in self.runs}
        self.acks = [ack for ack in self.acks if ack.token in self.found]
        self._acks_checked = len(self.acks)
        self.sums = [
            (run_id, total)
            for run_id, total in self.sums
            if run_id in self.runs and self.runs[run_id][-1].type in TERMINAL
        ]
        self.position = position
        self.cut_away += gone
        self.cuts += 1
        return gone
