"""Payloads, made by hypothesis and by hand, for whoever needs every kind of event."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from progress_ledger.ledger.events import (
    MAX_COUNT,
    Cancelled,
    CancelRequested,
    Completed,
    Failed,
    Heartbeat,
    Interrupted,
    Noted,
    Paused,
    Payload,
    Queued,
    Resumed,
    Rewound,
    Stage,
    StageChanged,
    Started,
    Ticked,
    TotalChanged,
)

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
NAME = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20)
KEY = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0:"), min_size=1, max_size=20)
COUNT = st.integers(0, MAX_COUNT)
RUN_ID = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_~:@-]{0,30}", fullmatch=True).filter(
    lambda run_id: run_id not in ("current", "batch")
)
TIME = st.sampled_from(["2026-11-21T23:34:40.123456Z", "1999-01-01T00:00:00.000000Z"])
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


def _maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


_STAGES = st.lists(
    st.builds(Stage, name=NAME, weight=_maybe(st.floats(0, 1e6)), total=_maybe(COUNT), unit=_maybe(NAME)),
    max_size=3,
    unique_by=lambda stage: stage.name,
)
_SPEC: dict[str, st.SearchStrategy[Any]] = {
    "occurred_at": _maybe(TIME),
    "kind": NAME,
    "scope": _maybe(TEXT),
    "title": _maybe(TEXT),
    "total": _maybe(COUNT),
    "unit": _maybe(NAME),
    "stages": _STAGES,
    "labels": st.dictionaries(KEY, TEXT, max_size=3),
    "slot": _maybe(NAME),
    "owner": _maybe(NAME),
    "lease_seconds": _maybe(st.floats(1, 1000)),
    "stall_seconds": _maybe(st.floats(1, 1000)),
    "parent": _maybe(RUN_ID),
    "retry_of": _maybe(RUN_ID),
}
_AT = _maybe(TIME)
_TICK = {
    "counts": _maybe(st.dictionaries(NAME, COUNT, max_size=3)),
    "total": _maybe(COUNT),
    "message": _maybe(TEXT),
}
PAYLOAD: st.SearchStrategy[Payload] = st.one_of(
    st.builds(Queued, **_SPEC),
    st.builds(Started, **_SPEC),
    st.builds(Ticked, occurred_at=_AT, done=COUNT, **_TICK),
    st.builds(Ticked, occurred_at=_AT, advance=COUNT, **_TICK),
    st.builds(StageChanged, occurred_at=_AT, stage=NAME, total=_maybe(COUNT), message=_maybe(TEXT)),
    st.builds(TotalChanged, occurred_at=_AT, total=_maybe(COUNT)),
    st.builds(Rewound, occurred_at=_AT, done=COUNT, reason=_maybe(TEXT)),
    st.builds(
        Noted,
        occurred_at=_AT,
        message=TEXT,
        level=_maybe(st.sampled_from(["info", "warning", "error"])),
        link=_maybe(TEXT),
    ),
    st.builds(Heartbeat, occurred_at=_AT),
    st.builds(Paused, occurred_at=_AT, reason=_maybe(TEXT)),
    st.builds(Resumed, occurred_at=_AT, reason=_maybe(TEXT)),
    st.builds(CancelRequested, occurred_at=_AT, reason=_maybe(TEXT), by=_maybe(TEXT)),
    st.builds(Completed, occurred_at=_AT, message=_maybe(TEXT), result=JSON),
    st.builds(Failed, occurred_at=_AT, error=TEXT, message=_maybe(TEXT)),
    st.builds(Cancelled, occurred_at=_AT, reason=_maybe(TEXT)),
    st.builds(Interrupted, occurred_at=_AT, reason=TEXT),
)

# One run that has everything, as the golden file keeps it.
STORY: list[tuple[Payload, str | None]] = [
    (
        Queued(
            kind="bulk_qa",
            scope="episode:123",
            title="Prüfung \u2028 🙂",
            total=291,
            unit="sheets",
            stages=[Stage(name="extract", weight=0.25, total=291), Stage(name="check", unit="rows")],
            labels={"team": "red", "gate": ""},
            slot="bulk_qa",
            owner="host/1",
            lease_seconds=30.0,
            stall_seconds=2.5,
            parent="nightly",
            retry_of="qa-6",
        ),
        None,
    ),
    (Started(occurred_at="2026-11-21T23:34:40.5Z"), None),
    (StageChanged(stage="extract", total=10, message="begin"), None),
    (Ticked(done=5, counts={"failed": 2, "passed": 3}, message="5/10"), "tick-ü"),
    (Ticked(advance=1, total=None), None),
    (Ticked(done=MAX_COUNT, total=MAX_COUNT), None),
    (TotalChanged(total=None), None),
    (Rewound(done=0, reason="again"), None),
    (
        Noted(
            message='quote " backslash \\ tab \t del \x7f nel \x85',
            level="warning",
            link="https://example.org/?a=1",
        ),
        None,
    ),
    (Heartbeat(), None),
    (Paused(reason="lunch"), None),
    (Resumed(), None),
    (CancelRequested(reason="enough", by="ann"), None),
    (Completed(message="done", result={"passed": 289, "ratio": 0.99, "list": [1, None, True]}), "end"),
]
ENDS: list[Payload] = [
    Failed(error="disk full", message="at 5"),
    Cancelled(reason="stop"),
    Interrupted(reason="lease"),
]
