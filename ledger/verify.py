"""What can be wrong with a log, and the rules of the history checked event by event, without any I/O.

:class:`Finding` is one thing that is wrong. :class:`RuleCheck` is fed every event in position order and
holds what the contract promises of a history: versions dense, first events that begin a run, nothing after
a terminal event, transitions, slots held by one run, times that do not run back, events as the door lets
them in. It keeps state for active runs only, and one byte for every run that is over.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import msgspec

from .codec import decode
from .events import PAYLOADS, TERMINAL, Event, RunSpec, Ticked, Unknown
from .lifecycle import next_status

__all__ = ("MAX_FINDINGS", "Finding", "RuleCheck", "Seen")

MAX_FINDINGS = 100
"""Findings listed by one verification; damage beyond that is counted, not listed."""


# The commonest event by far is read in pieces: its head is compared as bytes, only its data is decoded.
_TIME = 27
_TICKED = b'","type":"ticked","data":{'
_DATA = _TIME + len(_TICKED) - 1


class _Tick(Ticked, kw_only=True, gc=False):
    """As it is, out of reach of the garbage collector: it lives for one line."""


_decode_tick = msgspec.json.Decoder(_Tick).decode


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
        self._ended = bytearray()
        self._slots: dict[str, int] = {}

    def feed(
        self,
        rows: Iterable[tuple[int, int, int, bytes | None]],
        *,
        on_event: Callable[[Event], object] | None = None,
    ) -> list[Seen]:
        """Events as stored: (position, run's number, position of the run's event before, body).

        What the rows of the runs that ended should be comes back. ``on_event`` is given each event read.
        """
        over: list[Seen] = []
        running = self._running.get if on_event is None else _never
        decode_tick, ticked, length, data = _decode_tick, _TICKED, _TIME, _DATA
        # Written out in one piece: a call for each event would cost a tenth of all.
        for position, number, previous, body in rows:
            self.events += 1
            run = running(number)
            if run is not None and previous == run.last and body is not None:
                version = run.version + 1
                head = b'%b%d,"time":"' % (run.prefix, version)
                at = len(head)
                if body.startswith(head) and body.startswith(ticked, at + length):
                    try:
                        tick = decode_tick(body[at + data : -1])
                    except (msgspec.MsgspecError, UnicodeDecodeError):
                        tick = None
                    time = body[at : at + length]
                    if (
                        tick is not None
                        and time >= run.time
                        and (tick.done is None) != (tick.advance is None)
                        and body[-1] == 0x7D
                    ):
                        run.version = version
                        run.last = position
                        run.time = time
                        continue
            event, seen = self._feed(position, number, previous, body)
            if seen is not None:
                over.append(seen)
            if on_event is not None and event is not None:
                on_event(event)
        return over

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
            if event.event_id in run.event_ids:
                self._add(
                    "event_id_twice", f"event_id {event.event_id!r} is used twice.", position, run.run_id
                )
            run.event_ids.add(event.event_id)
        status = next_status(run.status, kind)
        if status is None:
            where = "begins a run" if run.status is None else f"comes while the run is {run.status}"
            self._add("invalid_transition", f"{kind!r} {where}.", position, run.run_id)
        else:
            run.status = status

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
        run = self._runs.pop(number)
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
