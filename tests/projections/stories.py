"""Runs told as events, for tests of the fold: by hand, and at random within what the lifecycle allows."""

from __future__ import annotations

import msgspec
from hypothesis import strategies as st

from progress_ledger.ledger import codec
from progress_ledger.ledger.events import (
    MAX_COUNT,
    PAYLOADS,
    Cancelled,
    CancelRequested,
    Completed,
    Event,
    Failed,
    Heartbeat,
    Interrupted,
    Noted,
    Paused,
    Payload,
    Queued,
    Resumed,
    Rewound,
    RunSpec,
    Stage,
    StageChanged,
    Started,
    Ticked,
    TotalChanged,
)
from progress_ledger.ledger.lifecycle import next_status
from progress_ledger.ledger.times import format_time, parse_time
from progress_ledger.projections import RunState, Snapshot, apply, view

EPOCH = 1_795_000_000.0


def at(seconds: float) -> str:
    """The time so many seconds into the story."""
    return format_time(EPOCH + seconds)


class Story:
    """A run's events, one after another, each at its second."""

    def __init__(self, *, run_id: str = "r", position: int = 0) -> None:
        self.run_id = run_id
        self.events: list[Event] = []
        self.position = position

    def add(self, seconds: float, *payloads: Payload) -> Story:
        for payload in payloads:
            self.position += 1
            written = codec.event_of(
                payload.type,
                run_id=self.run_id,
                version=len(self.events) + 1,
                time=at(seconds),
                data=payload,
                event_id=None,
                position=self.position,
            )
            body = codec.stored_form(
                run_id=self.run_id,
                version=written.version,
                time=written.time,
                type_name=payload.type,
                data=codec.encode_data(payload),
                event_id=None,
            )
            self.events.append(codec.decode(body.encode(), self.position))
        return self

    def state(self) -> RunState:
        return folded(self.events)

    def seen(self, seconds: float | None = None) -> Snapshot:
        """The run at that second, or at the moment of its last event."""
        state = self.state()
        if seconds is None:
            return view(state, EPOCH + self._last())
        return view(state, EPOCH + seconds)

    def _last(self) -> float:
        return parse_time(self.events[-1].time) - EPOCH


def started(*stages: Stage, total: int | None = None, **spec: object) -> Story:
    """A running run of kind ``k`` that began at second 0."""
    first = Started(kind="k", total=total, stages=list(stages), **spec)  # type: ignore[arg-type]
    return Story().add(0, first)


def folded(events: list[Event], state: RunState | None = None) -> RunState:
    for event in events:
        state = apply(state, event)
    assert state is not None
    return state


def data_of(snapshot: object) -> dict[str, object]:
    """As a client has it: plain JSON."""
    found: dict[str, object] = msgspec.json.decode(msgspec.json.encode(snapshot))
    return found


# ── at random ───────────────────────────────────────────────────────────────────────────────────────────

NUMBERS = st.one_of(st.integers(0, 30), st.integers(0, MAX_COUNT), st.just(MAX_COUNT))
TOTALS = st.one_of(st.none(), NUMBERS)
NAMES = st.sampled_from(["ok", "failed", "skipped"])
COUNTS = st.one_of(st.none(), st.dictionaries(NAMES, NUMBERS, max_size=3))
STAGES = st.sampled_from(["a", "b", "c", "d"])
TEXTS = st.one_of(st.none(), st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6))
SPECS = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(["k", "l"]),
        "total": TOTALS,
        "unit": st.one_of(st.none(), st.just("rows")),
        "stall_seconds": st.one_of(st.none(), st.floats(0.5, 400)),
        "labels": st.dictionaries(NAMES, st.just("x"), max_size=2),
        "stages": st.lists(
            st.builds(
                Stage,
                name=STAGES,
                weight=st.one_of(st.none(), st.just(0.0), st.floats(0, 1e9)),
                total=TOTALS,
                unit=st.one_of(st.none(), st.just("bytes")),
            ),
            max_size=3,
            unique_by=lambda stage: stage.name,
        ),
    }
)
RESULTS = st.one_of(st.none(), st.integers(-(10**30), 10**30), st.just({"a": [1.5, None, "x"]}))
TOTALLED: st.SearchStrategy[dict[str, int | None]] = st.fixed_dictionaries({}, optional={"total": TOTALS})

PAYLOAD: dict[str, st.SearchStrategy[Payload]] = {
    "queued": SPECS.map(lambda spec: msgspec.convert(spec, Queued)),
    "started": SPECS.map(lambda spec: msgspec.convert(spec, Started)),
    "ticked": st.one_of(
        st.builds(
            lambda done, counts, message, more: Ticked(done=done, counts=counts, message=message, **more),
            NUMBERS,
            COUNTS,
            TEXTS,
            TOTALLED,
        ),
        st.builds(lambda advance, counts: Ticked(advance=advance, counts=counts), NUMBERS, COUNTS),
    ),
    "stage_changed": st.builds(
        lambda stage, message, more: StageChanged(stage=stage, message=message, **more),
        STAGES,
        TEXTS,
        TOTALLED,
    ),
    "total_changed": st.builds(TotalChanged, total=TOTALS),
    "rewound": st.builds(Rewound, done=NUMBERS),
    "noted": st.builds(Noted, message=st.text("abc", max_size=5)),
    "heartbeat": st.builds(Heartbeat),
    "paused": st.builds(Paused),
    "resumed": st.builds(Resumed),
    "cancel_requested": st.builds(CancelRequested),
    "completed": st.builds(Completed, message=TEXTS, result=RESULTS),
    "failed": st.builds(Failed, error=st.just("broken"), message=TEXTS),
    "cancelled": st.builds(Cancelled, reason=TEXTS),
    "interrupted": st.builds(Interrupted, reason=st.just("gone")),
}
assert PAYLOAD.keys() == PAYLOADS.keys()

_ENDS = ("completed", "failed", "cancelled", "interrupted")
_OFTEN = ("ticked",) * 6 + ("stage_changed",) * 2


@st.composite
def lives(draw: st.DrawFn, *, run_id: str = "r", max_events: int = 30) -> list[Event]:
    """A run's events in any order that the lifecycle allows, at any pace, some with the producer's clock."""
    story = Story(run_id=run_id)
    status: str | None = None
    now = 0.0
    for _ in range(draw(st.integers(1, max_events))):
        allowed = [name for name in PAYLOAD if next_status(status, name) is not None and name not in _ENDS]
        if status == "running":
            allowed += _OFTEN
        if draw(st.integers(0, 14)) == 0:
            allowed = [name for name in _ENDS if next_status(status, name)] or allowed
        name = draw(st.sampled_from(allowed))
        payload = draw(PAYLOAD[name]) if status is None or name != "started" else Started()
        now += draw(st.one_of(st.just(0.0), st.floats(0, 90), st.floats(0, 1e6)))
        if draw(st.integers(0, 5)) == 0:
            payload = msgspec.structs.replace(
                payload, occurred_at=at(max(0.0, now + draw(st.floats(-200, 20))))
            )
        story.add(now, payload)
        status = next_status(status, name)
        if status in _ENDS:
            break
    return story.events


def spec_of(event: Event) -> RunSpec:
    assert isinstance(event.data, RunSpec)
    return event.data
