"""What can be wrong with a log, and the rules of the history checked event by event, without any I/O.

:class:`Finding` is one thing that is wrong. :class:`RuleCheck` is fed every event in position order and
holds what the contract promises of a history: versions dense, first events that begin a run, nothing after
a terminal event, transitions, slots held by one run, times that do not run back, events as the door lets
them in. It keeps state for active runs only, and one byte for every run that is over.
"""

import re
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import NamedTuple, TypeAlias

import msgspec

from ..codec import decode
from ..events import PAYLOADS, TERMINAL, Event, RunSpec, Ticked, Unknown
from ..lifecycle import next_status

__all__ = ("MAX_FINDINGS", "Finding", "Row", "RuleCheck", "Seen")

MAX_FINDINGS = 100
"""Findings listed by one verification; damage beyond that is counted, not listed."""


Row: TypeAlias = tuple[int, int, int, bytes | None]
"""An event as stored: position, run's number, position of the run's event before, body (None once pruned)."""

# The commonest event by far is read in pieces: its head is compared as bytes, and what follows (the data, an
# event_id where there is one) is decoded for all the rows of a portion at once.
_TIME = 27
_TICKED = b'","type":"ticked","data":{'
_DATA = _TIME + len(_TICKED) - 1
_HEAD = re.compile(rb'\{"run_id":"(.*?)","version":(\d+),"time":"(.{27})', re.DOTALL)
_VERSIONS = [b'%d,"time":"' % version for version in range(4096)]
_NO_TAIL = b'{"done":0}}'


class _Tick(Ticked, kw_only=True, gc=False):
    """As it is, out of reach of the garbage collector: it lives for one portion."""


class _Tail(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    data: _Tick
    event_id: str | None = None


_decode_tail = msgspec.json.Decoder(_Tail).decode
_decode_tails = msgspec.json.Decoder(_Tail).decode_lines


class Finding(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One thing that is wrong: ``kind`` is a stable word, ``message`` a sentence.

    ``start`` and ``end`` are the bytes of the file where the event is stored, where that can be told.
    """

    kind: str
    message: str
    position: int | None = None
    run_id: str | None = None
    start: int | None = None
    end: int | None = None


class Seen(NamedTuple):
    """What the events of a run say its row in the directory should be."""

    number: int
    run_id: str
    kind: str
    status: str
    version: int
    first: int
    last: int
    time: str


class _Run:
    __slots__ = (
        "event_ids",
        "first",
        "kind",
        "last",
        "prefix",
        "pruned",
        "run_id",
        "slot",
        "status",
        "time",
        "version",
    )

    def __init__(self, run_id: str, first: int) -> None:
        self.run_id = run_id
        self.prefix = b""
        self.first = first
        self.kind = ""
        self.slot: str | None = None
        self.status: str | None = None
        self.version = 0
        self.last = 0
        self.time = b""
        self.event_ids: set[str] = set()
        self.pruned = False


def _never(number: int) -> _Run | None:
    return None


class RuleCheck:
    """Feed every event in order; what is wrong gathers in ``findings``, at most :data:`MAX_FINDINGS`."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self.more = 0
        self.events = 0
        self.unknown = 0
        self._runs: dict[int, _Run] = {}
        self._running: dict[int, _Run] = {}
        # Of the portion at hand: runs that ended in it, and the event_ids in it.
        self._ending: dict[int, _Run] = {}
        self._used: list[tuple[int, _Run, str]] = []
        self._ended = bytearray()
        self._slots: dict[str, int] = {}

    def feed(self, rows: Sequence[Row], *, on_event: Callable[[Event], object] | None = None) -> list[Seen]:
        """Events in order; what the rows of the runs that ended should be comes back.

        ``on_event`` is given each event read. Some hundreds of rows at a time cost the least for each.
        """
        over: list[Seen] = []
        running = self._running.get if on_event is None else _never
        versions, many, ticked, length, data = _VERSIONS, len(_VERSIONS), _TICKED, _TIME, _DATA
        tails: list[bytes] = []
        add = tails.append
        self.events += len(rows)
        # Written out in one piece: a call for each event would cost a tenth of all.
        for position, number, previous, body in rows:
            run = running(number)
            if run is not None and previous == run.last and body is not None:
                version = run.version + 1
                head = run.prefix + (versions[version] if version < many else b'%d,"time":"' % version)
                at = len(head)
                if body.startswith(head) and body.startswith(ticked, at + length):
                    time = body[at : at + length]
                    if time >= run.time and body[-1] == 0x7D:
                        run.version = version
                        run.last = position
                        run.time = time
                        add(body[at + data :])
                        continue
            add(_NO_TAIL)
            event, seen = self._feed(position, number, previous, body)
            if seen is not None:
                over.append(seen)
            if on_event is not None and event is not None:
                on_event(event)
        self._check_tails(rows, tails)
        self._check_event_ids()
        self._ending.clear()
        return over

    def _check_tails(self, rows: Sequence[Row], tails: list[bytes]) -> None:
        """Hold what follows the heads of ``ticked`` events against what may follow."""
        text = b'{"data":' + b'\n{"data":'.join(tails)
        # Every newline stands between two tails, after a brace: where something is open there, what follows
        # is no JSON. So no tail lends another what it lacks, and as many values as tails are one for each.
        whole = text.count(b"\n") == len(tails) - 1
        try:
            found = _decode_tails(text) if whole else []
        except (msgspec.MsgspecError, UnicodeDecodeError):
            found = []
        if len(found) == len(tails) and not [
            1 for tail in found if (tail.data.done is None) == (tail.data.advance is None)
        ]:
            if [1 for tail in found if tail.event_id is not None]:
                for row, tail in zip(rows, found, strict=True):
                    if tail.event_id is not None:
                        run = self._runs.get(row[1]) or self._ending[row[1]]
                        self._used.append((row[0], run, tail.event_id))
            return
        for (position, number, _, body), rest in zip(rows, tails, strict=True):
            if body is not None and rest is not _NO_TAIL:
                self._check_ticked(position, number, body)

    def _check_ticked(self, position: int, number: int, body: bytes) -> None:
        """One event whose head is that of a ``ticked`` event, and is counted."""
        head = _HEAD.match(body)
        assert head is not None
        before = _Run(head[1].decode(), position)
        before.version = int(head[2]) - 1
        before.time = head[3]
        before.status = "running"
        before.event_ids = (self._runs.get(number) or self._ending[number]).event_ids
        try:
            event = decode(body, position)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            self._add("not_an_event", "The stored bytes are no event.", position, before.run_id)
        else:
            self._check(event, before, number, position, body)

    def _feed(
        self, position: int, number: int, previous: int, body: bytes | None
    ) -> tuple[Event | None, Seen | None]:
        run = self._runs.get(number)
        self._running.pop(number, None)
        if run is None:
            if number < len(self._ended) and self._ended[number]:
                self._add("after_end", "An event follows the end of its run.", position, None)
                return None, None
            run = self._runs[number] = _Run("", position)
        if previous != run.last:
            self._add(
                "broken_link",
                f"The event says that its run's event before it is at {previous}; that one is at {run.last}.",
                position,
                run.run_id,
            )
        run.last = position
        if body is None:
            run.version += 1
            run.pruned = True
            return None, None
        try:
            event = decode(body, position)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            self._add("not_an_event", "The stored bytes are no event.", position, run.run_id)
            run.version += 1
            return None, None
        self._check(event, run, number, position, body)
        run.version = event.version
        run.time = event.time.encode()
        if run.status in TERMINAL:
            return event, self._end(number)
        if run.status == "running" and not run.pruned:
            self._running[number] = run
        return event, None

    def rest(self) -> list[Seen]:
        """What the rows of the runs that are not over, or were pruned, should be."""
        return [self._seen(number, run) for number, run in self._runs.items()]

    def pruned(self, number: int) -> bool:
        """Whether the run's events were found removed."""
        run = self._runs.get(number)
        return run is not None and run.pruned

    def _check(self, event: Event, run: _Run, number: int, position: int, body: bytes) -> None:
        data = event.data
        kind = event.type
        if not run.version:
            run.run_id = event.run_id
            run.prefix = b'{"run_id":"%b","version":' % event.run_id.encode()
            if isinstance(data, RunSpec):
                self._begin(data, run, number, position)
        elif event.run_id != run.run_id:
            self._add("wrong_run", f"The event is of run {event.run_id!r}.", position, run.run_id)
        if event.version != run.version + 1:
            message = f"Version {event.version} follows version {run.version}."
            self._add("version_gap", message, position, run.run_id)
        if event.time.encode() < run.time:
            message = f"Its time {event.time} is before that of the event before it."
            self._add("time_runs_back", message, position, run.run_id)
        head = (
            f'{{"run_id":"{event.run_id}","version":{event.version},'
            f'"time":"{event.time}","type":"{kind}","data":{{'
        )
        if not body.startswith(head.encode()) and event.v == 1:
            self._add("wrong_form", "The stored bytes have not the form of an event.", position, run.run_id)
        if isinstance(data, Unknown):
            if kind in PAYLOADS and event.v == 1:
                self._add("invalid_event", f"The data is not that of a {kind!r} event.", position, run.run_id)
            self.unknown += 1
            return
        if isinstance(data, Ticked) and (data.done is None) == (data.advance is None):
            self._add("invalid_event", "A 'ticked' event takes one of done or advance.", position, run.run_id)
        if event.event_id is not None:
            self._used.append((position, run, event.event_id))
        status = next_status(run.status, kind)
        if status is None:
            where = "begins a run" if run.status is None else f"comes while the run is {run.status}"
            self._add("invalid_transition", f"{kind!r} {where}.", position, run.run_id)
        else:
            run.status = status

    def _check_event_ids(self) -> None:
        for position, run, event_id in sorted(self._used, key=itemgetter(0)):
            if event_id in run.event_ids:
                message = f"event_id {event_id!r} is used twice."
                self._add("event_id_twice", message, position, run.run_id)
            run.event_ids.add(event_id)
        self._used.clear()

    def _begin(self, spec: RunSpec, run: _Run, number: int, position: int) -> None:
        run.kind = spec.kind
        run.slot = spec.slot
        if spec.slot is not None:
            holder = self._slots.get(spec.slot)
            if holder is not None:
                message = f"Slot {spec.slot!r} is held by run {self._runs[holder].run_id!r} at that time."
                self._add("slot_taken", message, position, run.run_id)
            self._slots[spec.slot] = number

    def _end(self, number: int) -> Seen:
        run = self._ending[number] = self._runs.pop(number)
        if run.slot is not None and self._slots.get(run.slot) == number:
            del self._slots[run.slot]
        if number >= len(self._ended):
            self._ended.extend(bytes(number - len(self._ended) + 4096))
        self._ended[number] = 1
        return self._seen(number, run)

    @staticmethod
    def _seen(number: int, run: _Run) -> Seen:
        time = run.time.decode()
        return Seen(number, run.run_id, run.kind, run.status or "", run.version, run.first, run.last, time)

    def _add(self, kind: str, message: str, position: int, run_id: str | None) -> None:
        if len(self.findings) < MAX_FINDINGS:
            self.findings.append(
                Finding(kind=kind, message=message, position=position, run_id=run_id or None)
            )
        else:
            self.more += 1
