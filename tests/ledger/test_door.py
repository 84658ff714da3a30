"""The door: what is malformed, too large or of the wrong shape is refused whole, with the field named."""

from __future__ import annotations

import datetime
import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from progress_ledger.ledger import codec
from progress_ledger.ledger.door import (
    MAX_DEPTH,
    Draft,
    check_run_id,
    draft_event,
    draft_run,
    parse_event,
    parse_spec,
)
from progress_ledger.ledger.errors import InvalidEvent, InvalidRun, LedgerError, Malformed, TooLarge
from progress_ledger.ledger.events import (
    MAX_COUNT,
    MAX_DATA_BYTES,
    PAYLOADS,
    Completed,
    Failed,
    Heartbeat,
    Noted,
    Payload,
    Queued,
    RunSpec,
    Stage,
    StageChanged,
    Started,
    Ticked,
    TotalChanged,
    Unknown,
)
from tests.ledger.samples import PAYLOAD, RUN_ID

# ── properties ──────────────────────────────────────────────────────────────────────────────────────────


@given(payload=PAYLOAD)
def test_the_wire_and_python_come_to_the_same_draft(payload: Payload) -> None:
    drafted = draft_event(payload)
    parsed = parse_event(payload.type, msgspec.json.encode(payload))
    assert drafted == parsed
    assert drafted == parse_event(drafted.type, drafted.data.encode())
    assert type(drafted.payload) is PAYLOADS[payload.type]


@given(payload=PAYLOAD)
def test_a_drafts_payload_is_what_its_text_says(payload: Payload) -> None:
    draft = draft_event(payload)
    assert draft.data.isascii()
    assert msgspec.json.decode(draft.data, type=PAYLOADS[payload.type]) == draft.payload
    assert codec.encode_data(draft.payload) == draft.data


@given(
    type_name=st.sampled_from([*PAYLOADS, "exploded", "", "unknown"]),
    data=st.binary(max_size=60) | st.just(b"{}"),
)
def test_any_bytes_are_a_draft_or_a_refusal(type_name: str, data: bytes) -> None:
    found: Draft | LedgerError
    try:
        found = parse_event(type_name, data)
    except LedgerError as error:
        found = error
    assert isinstance(found, Draft) or str(found).endswith(".")


@given(run_id=RUN_ID)
def test_a_run_id_is_given_back(run_id: str) -> None:
    assert check_run_id(run_id) == run_id


@given(text=st.text(max_size=10))
def test_a_run_id_never_holds_what_a_path_or_json_would_mind(text: str) -> None:
    try:
        check_run_id(text)
    except InvalidRun:
        return
    assert text.isascii()
    assert not set(text) & set('/\\"%?#& \0\n')
    assert ".." not in text


@pytest.mark.parametrize(
    "run_id",
    [
        "", ".", "..", "a..b", "-a", "_a", "a/b", "a b", "a\0b", "a\n", "ü", "a\ud800", "current", "batch",
        "x" * 129, "../../etc/passwd", "a%2fb", '"', "x" * 100_000, None, 5, b"a", ["a"],
    ],
)  # fmt: skip
def test_a_bad_run_id_is_refused_and_shown_in_short(run_id: Any) -> None:
    with pytest.raises(InvalidRun) as caught:
        check_run_id(run_id, field="parent")
    assert caught.value.field == "parent"
    assert len(str(caught.value)) < 900


@pytest.mark.parametrize("run_id", ["a", "0", "A-1.b_c~d:e@f", "x" * 128, "Current", "batch-1", "a.b"])
def test_a_good_run_id_passes(run_id: str) -> None:
    assert check_run_id(run_id) == run_id


# ── events over the wire ────────────────────────────────────────────────────────────────────────────────

WRONG: list[tuple[str, str, type[LedgerError], str | None]] = [
    ("ticked", "{}", InvalidEvent, "data.done"),
    ("ticked", '{"done":1,"advance":1}', InvalidEvent, "data.done"),
    ("ticked", '{"done":null}', InvalidEvent, "data.done"),
    ("ticked", '{"done":-1}', InvalidEvent, "data.done"),
    ("ticked", '{"done":1.5}', InvalidEvent, "data.done"),
    ("ticked", '{"done":1.0}', InvalidEvent, "data.done"),
    ("ticked", '{"done":true}', InvalidEvent, "data.done"),
    ("ticked", '{"done":"1"}', InvalidEvent, "data.done"),
    ("ticked", '{"done":9223372036854775808}', InvalidEvent, "data.done"),
    ("ticked", '{"done":1' + "0" * 400 + "}", InvalidEvent, "data.done"),
    ("ticked", '{"done":1e400}', InvalidEvent, "data.done"),
    ("ticked", '{"advance":-1}', InvalidEvent, "data.advance"),
    ("ticked", '{"done":1,"total":-1}', InvalidEvent, "data.total"),
    ("ticked", '{"done":1,"counts":{"a":-1}}', InvalidEvent, "data.counts[...]"),
    ("ticked", '{"done":1,"counts":{"":1}}', InvalidEvent, "data.counts"),
    ("ticked", '{"done":1,"counts":[1]}', InvalidEvent, "data.counts"),
    ("ticked", '{"done":1,"mood":"good"}', InvalidEvent, "data.mood"),
    ("ticked", '{"done":1,"occurred_at":"yesterday"}', InvalidEvent, "data.occurred_at"),
    ("ticked", '{"done":1,"occurred_at":"2026-11-21T23:34:40"}', InvalidEvent, "data.occurred_at"),
    ("ticked", '{"done":1,"occurred_at":1795304080}', InvalidEvent, "data.occurred_at"),
    ("ticked", '{"done":1,"message":"a\\u0000b"}', InvalidEvent, "data.message"),
    ("ticked", '{"done":1,"counts":{"a\\u0000b":1}}', InvalidEvent, "data.counts"),
    ("ticked", '{"done":1,"message":"\\ud800"}', Malformed, None),
    ("ticked", '{"done":1,"message":"\\udc00\\ud800"}', Malformed, None),
    ("ticked", '{"done":1', Malformed, None),
    ("ticked", '{"done":1}{"done":1}', Malformed, None),
    ("ticked", "", Malformed, None),
    ("ticked", "{'done':1}", Malformed, None),
    ("ticked", '{"done":NaN}', Malformed, None),
    ("ticked", "[]", InvalidEvent, "data"),
    ("ticked", "null", InvalidEvent, "data"),
    ("ticked", '"done"', InvalidEvent, "data"),
    ("stage_changed", "{}", InvalidEvent, "data.stage"),
    ("stage_changed", '{"stage":""}', InvalidEvent, "data.stage"),
    ("total_changed", "{}", InvalidEvent, "data.total"),
    ("total_changed", '{"total":"many"}', InvalidEvent, "data.total"),
    ("rewound", "{}", InvalidEvent, "data.done"),
    ("noted", "{}", InvalidEvent, "data.message"),
    ("noted", '{"message":"m","level":"fatal"}', InvalidEvent, "data.level"),
    ("heartbeat", '{"done":1}', InvalidEvent, "data.done"),
    ("failed", "{}", InvalidEvent, "data.error"),
    ("interrupted", "{}", InvalidEvent, "data.reason"),
    ("exploded", "{}", InvalidEvent, "type"),
    ("unknown", '{"name":"x"}', InvalidEvent, "type"),
    ("", "{}", InvalidEvent, "type"),
    ("started", '{"kind":5}', InvalidEvent, "data.kind"),
    ("started", '{"kind":"k","stages":[{"name":"a"},{"nam":"b"}]}', InvalidEvent, "data.stages[1].nam"),
    ("started", '{"kind":"k","stages":[{"name":"a"},{"name":"a"}]}', InvalidEvent, "data.stages"),
    ("started", '{"kind":"k","stages":[{"weight":1}]}', InvalidEvent, "data.stages[0].name"),
    ("started", '{"kind":"k","parent":"../x"}', InvalidEvent, "data.parent"),
    ("started", '{"kind":"k","labels":{"a:b":"1"}}', InvalidEvent, "data.labels"),
    ("started", '{"kind":"k","attempt":2}', InvalidEvent, "data.attempt"),
    ("completed", '{"result":' + "[" * 65 + "]" * 65 + "}", InvalidEvent, "data.result"),
    ("completed", '{"result":' + "[" * 65 + "1" + "]" * 65 + "}", InvalidEvent, "data.result"),
    ("completed", '{"result":' + "[" * 100_000 + "]" * 100_000 + "}", InvalidEvent, "data"),
    ("completed", '{"result":' + '{"a":' * 65 + "1" + "}" * 65 + "}", InvalidEvent, "data.result"),
    ("completed", '{"result":"' + "x" * MAX_DATA_BYTES + '"}', TooLarge, "data"),
    ("noted", '{"message":"' + "é" * 20_000 + '"}', TooLarge, "data"),
]  # fmt: skip


@pytest.mark.parametrize(("type_name", "data", "error", "field"), WRONG, ids=lambda each: str(each)[:40])
def test_a_bad_event_is_refused_with_its_field(
    type_name: str, data: str, error: type[LedgerError], field: str | None
) -> None:
    with pytest.raises(error) as caught:
        parse_event(type_name, data.encode())
    assert type(caught.value) is error
    assert getattr(caught.value, "field", None) == field
    text = str(caught.value)
    assert text.endswith(".")
    assert len(text) < 600
    assert field is None or field.split(".")[-1].split("[")[0] in text


def test_a_level_that_is_none_is_told_which_there_are() -> None:
    with pytest.raises(InvalidEvent, match="'fatal', use one of info, warning, error"):
        parse_event("noted", b'{"message":"m","level":"fatal"}')


@pytest.mark.parametrize(
    "data", [b'{"message":"\xff"}', b'{"message":"\xc3"}', b"\xff\xfe{}", b'{"message":"\xed\xa0\x80"}']
)
def test_what_is_not_utf_8_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        parse_event("noted", data)


@pytest.mark.parametrize(
    ("type_name", "data", "payload"),
    [
        ("ticked", '{"done":0}', Ticked(done=0)),
        ("ticked", '{"done":null,"advance":0}', Ticked(advance=0)),
        ("ticked", '{"done":9223372036854775807,"total":null}', Ticked(done=MAX_COUNT, total=None)),
        ("ticked", ' {"done" : 1} \n', Ticked(done=1)),
        ("heartbeat", "{}", Heartbeat()),
        ("stage_changed", '{"stage":"s","total":0}', StageChanged(stage="s", total=0)),
        ("noted", '{"message":"\\u2028\\ud83d\\ude42"}', Noted(message="\u2028🙂")),
        ("completed", '{"result":' + "[" * 63 + "]" * 63 + "}", None),
        ("completed", '{"result":' + "[" * 64 + "]" * 64 + "}", None),
        ("completed", '{"result":' + "[" * 64 + "1" + "]" * 64 + "}", None),
        (
            "started",
            '{"kind":"k","occurred_at":"2026-11-21t23:34:40+01:00"}',
            Started(kind="k", occurred_at="2026-11-21T22:34:40.000000Z"),
        ),
    ],
)
def test_a_good_event_passes(type_name: str, data: str, payload: Payload | None) -> None:
    draft = parse_event(type_name, data.encode())
    assert payload is None or draft.payload == payload


@pytest.mark.parametrize("event_id", ["", "x" * 129, "a\0", "a\nb", "\ud800", "a\u2028b", 5, b"a"])
def test_a_bad_event_id_is_refused(event_id: Any) -> None:
    with pytest.raises(InvalidEvent) as caught:
        parse_event("heartbeat", b"{}", event_id)
    assert caught.value.field == "event_id"
    with pytest.raises(InvalidEvent):
        draft_event(Heartbeat(), event_id=event_id)


# ── events built in Python ──────────────────────────────────────────────────────────────────────────────


class MyTick(Ticked):
    pass


@pytest.mark.parametrize(
    "payload",
    [
        {"done": 1}, None, "ticked", 5, RunSpec(kind="k"), Payload(), Unknown(name="x"), Stage(name="s"),
        MyTick(done=1), Ticked, object(),
    ],
    ids=repr,
)  # fmt: skip
def test_what_is_no_event_is_refused(payload: Any) -> None:
    with pytest.raises(InvalidEvent) as caught:
        draft_event(payload)
    assert caught.value.field == "type"


CYCLE: list[Any] = []
CYCLE.append(CYCLE)


@pytest.mark.parametrize(
    "payload",
    [
        Ticked(),
        Ticked(done=1, advance=1),
        Ticked(done="5"),  # type: ignore[arg-type]
        Ticked(done=True),
        Ticked(done=-1),
        Ticked(done=2**63),
        Ticked(done=2**64),
        Ticked(done=10**400),
        Ticked(done=1.0),  # type: ignore[arg-type]
        Ticked(done=1, counts={"a": 2**65}),
        Ticked(done=1, counts={5: 5}, message=5),  # type: ignore[arg-type,dict-item]
        Ticked(done=1, occurred_at=5),  # type: ignore[arg-type]
        Ticked(done=1, occurred_at="now"),
        Ticked(done=object()),  # type: ignore[arg-type]
        Noted(message="a\0b"),
        Noted(message="\ud800"),
        Noted(message=None),  # type: ignore[arg-type]
        Failed(error=ValueError("x")),  # type: ignore[arg-type]
        Completed(result=object()),
        Completed(result=CYCLE),
        Completed(result={1j: 2}),
        Started(kind="k", stages=5),  # type: ignore[arg-type]
        Started(kind="k", stages=["a"]),  # type: ignore[list-item]
        Started(kind="null", stages=5),  # type: ignore[arg-type]
        Started(kind="null", stages=["a"]),  # type: ignore[list-item]
        Started(kind="k", labels={"a": 1}),  # type: ignore[dict-item]
        Queued(kind="k", lease_seconds=-1),
    ],
    ids=lambda payload: repr(payload)[:60],
)
def test_a_payload_of_wrong_shape_is_refused_before_anything_is_stored(payload: Payload) -> None:
    with pytest.raises(InvalidEvent):
        draft_event(payload)


BYTES: Any = b"half"
"""What some hand in where text belongs."""


@pytest.mark.parametrize(
    ("payload", "field"),
    [
        (Ticked(done=1, message=BYTES), "data.message"),
        (Noted(message=BYTES), "data.message"),
        (Completed(result={"sums": [("a", BYTES), bytearray(b"half")]}), "data.result"),
        (Started(kind="k", labels={"a": BYTES}), "data.labels"),
        (Started(kind="k", stages=[Stage(name=BYTES)]), "data.stages"),
    ],
)
def test_bytes_are_refused_and_not_stored_as_something_else(payload: Payload, field: str) -> None:
    with pytest.raises(InvalidEvent, match="bytes") as caught:
        draft_event(payload)
    assert caught.value.field == field


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_number_that_json_has_no_word_for_is_refused_with_its_field(number: Any) -> None:
    events: list[tuple[Payload, str]] = [
        (Ticked(done=number), "data.done"),
        (Ticked(done=1, total=number), "data.total"),
        (TotalChanged(total=number), "data.total"),
        (Started(kind="k", stall_seconds=number), "data.stall_seconds"),
    ]
    for payload, field in events:
        with pytest.raises(InvalidEvent, match="finite") as caught:
            draft_event(payload)
        assert caught.value.field == field
    for spec, field in (
        (RunSpec(kind="k", lease_seconds=number), "lease_seconds"),
        (RunSpec(kind="k", stages=[Stage(name="a"), Stage(name="b", weight=number)]), "stages[1].weight"),
    ):
        with pytest.raises(InvalidRun, match="finite") as refused:
            draft_run(spec)
        assert refused.value.field == field


def test_a_payload_is_what_json_makes_of_it() -> None:
    at = datetime.datetime(2026, 11, 21, 23, 34, tzinfo=datetime.UTC)
    draft = draft_event(Completed(result={"when": at, "pair": (1, 2), "not a number": math.nan, 5: None}))
    assert draft.payload == Completed(
        result={"when": "2026-11-21T23:34:00Z", "pair": [1, 2], "not a number": None, "5": None}
    )
    assert draft_event(Ticked(done=1, occurred_at=at)).payload.occurred_at == "2026-11-21T23:34:00.000000Z"  # type: ignore[arg-type]


def test_a_draft_does_not_share_what_the_caller_may_change() -> None:
    counts = {"a": 1}
    draft = draft_event(Ticked(done=1, counts=counts))
    counts["a"] = 2
    assert draft.payload == Ticked(done=1, counts={"a": 1})


def test_the_deepest_result_reads_back_from_a_deep_stack() -> None:
    value: Any = 1
    for _ in range(MAX_DEPTH - 1):
        value = [value]
    draft = draft_event(Completed(result=value))

    def deep(levels: int) -> Payload:
        return deep(levels - 1) if levels else parse_event("completed", draft.data.encode()).payload

    assert deep(500) == Completed(result=value)


# ── run specs ───────────────────────────────────────────────────────────────────────────────────────────

BAD_SPECS: list[tuple[str, type[LedgerError], str | None]] = [
    ('{"kind":5}', InvalidRun, "kind"),
    ('{"kind":"' + "k" * 129 + '"}', InvalidRun, "kind"),
    ('{"kind":"k","total":-1}', InvalidRun, "total"),
    ('{"kind":"k","total":1e400}', InvalidRun, "total"),
    ('{"kind":"k","mood":1}', InvalidRun, "mood"),
    ('{"kind":"k","labels":{"a":1}}', InvalidRun, "labels[...]"),
    ('{"kind":"k","labels":{"a:b":"1"}}', InvalidRun, "labels"),
    ('{"kind":"k","labels":{"' + "a" * 129 + '":"1"}}', InvalidRun, "labels"),
    ('{"kind":"k","labels":{' + ",".join(f'"l{n}":"v"' for n in range(10_000)) + "}}", InvalidRun, "labels"),
    ('{"kind":"k","stages":[{"name":"a","weight":-1}]}', InvalidRun, "stages[0].weight"),
    ('{"kind":"k","stages":[{"name":"a","mood":1}]}', InvalidRun, "stages[0].mood"),
    ('{"kind":"k","stages":[{"name":"a"},{"name":"a"}]}', InvalidRun, "stages"),
    ('{"kind":"k","stages":["a"]}', InvalidRun, "stages[0]"),
    ('{"kind":"k","lease_seconds":0}', InvalidRun, "lease_seconds"),
    ('{"kind":"k","lease_seconds":1e400}', InvalidRun, "lease_seconds"),
    ('{"kind":"k","stall_seconds":-5}', InvalidRun, "stall_seconds"),
    ('{"kind":"k","parent":"../x"}', InvalidRun, "parent"),
    ('{"kind":"k","retry_of":"batch"}', InvalidRun, "retry_of"),
    ('{"kind":"k","slot":""}', InvalidRun, "slot"),
    ('{"kind":"k","attempt":3}', InvalidRun, "attempt"),
    ('{"kind":"k\\u0000"}', InvalidRun, "kind"),
    ('{"kind":"k","stages":[{"name":"a\\u0000"}]}', InvalidRun, "stages"),
    ('{"kind":"k","stages":[{"weight":1}]}', InvalidRun, "stages[0].name"),
    ('{"kind":"k","stages":[' + '{"name":"a"},' * 256 + '{"name":"a"}]}', InvalidRun, "stages"),
    ('{"kind":"k","occurred_at":"yesterday"}', InvalidRun, "occurred_at"),
    ('{"kind":"k"', Malformed, None),
    ("[]", InvalidRun, "spec"),
    ('{"kind":"k","title":"' + "t" * 1025 + '"}', InvalidRun, "title"),
    ('{"kind":"k","labels":{' + ",".join(f'"{n}":"{"é" * 256}"' for n in range(64)) + "}}", TooLarge, "spec"),
]  # fmt: skip


@pytest.mark.parametrize(("spec", "error", "field"), BAD_SPECS, ids=lambda each: str(each)[:40])
def test_a_bad_spec_is_refused_with_its_field(spec: str, error: type[LedgerError], field: str | None) -> None:
    with pytest.raises(error) as caught:
        parse_spec(spec.encode())
    assert getattr(caught.value, "field", None) == field
    assert len(str(caught.value)) < 600
    assert field is None or field.split(".")[-1].split("[")[0] in str(caught.value)


@pytest.mark.parametrize("queued", [False, True])
def test_a_run_begins_with_its_spec(queued: bool) -> None:
    spec = parse_spec(b'{"kind":"k","stages":[{"name":"a"}],"labels":{"gate":""}}')
    draft = draft_run(spec, queued=queued, event_id="e")
    assert draft.type == ("queued" if queued else "started")
    assert draft.data == '{"kind":"k","stages":[{"name":"a"}],"labels":{"gate":""}}'
    assert draft.event_id == "e"


def test_a_run_without_a_kind_is_refused() -> None:
    for spec in (RunSpec(), parse_spec(b"{}"), RunSpec(kind="")):
        with pytest.raises(InvalidRun) as caught:
            draft_run(spec)
        assert caught.value.field == "kind"


def test_a_spec_of_wrong_shape_is_refused_in_python_too() -> None:
    for spec in (
        RunSpec(kind=5),  # type: ignore[arg-type]
        RunSpec(kind="k", stages=[5]),  # type: ignore[list-item]
        RunSpec(kind="k", parent="a/b"),
        RunSpec(kind="k", labels={f"l{number}": "" for number in range(10_000)}),
    ):
        with pytest.raises((InvalidRun, TooLarge)):
            draft_run(spec)


@pytest.mark.parametrize("data", [rb'{"done":1', rb'{"done":1,"message":"\ud800"}'])
def test_a_text_that_breaks_off_and_half_a_surrogate_pair_are_told_as_what_they_may_be(data: bytes) -> None:
    with pytest.raises(Malformed, match="breaks off, or a text in it holds half of a surrogate pair"):
        parse_event("ticked", data)
