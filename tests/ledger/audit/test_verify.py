"""The rules of a history, event by event: each breach is a finding of its own kind."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from progress_ledger.ledger.audit.verify import MAX_FINDINGS, RuleCheck

T = "2026-11-21T23:34:{:02}.000000Z"


def body(run: str, version: int, kind: str, data: str = "{}", *, at: int = 0, event_id: str = "") -> bytes:
    tail = f',"event_id":"{event_id}"' if event_id else ""
    return (
        f'{{"run_id":"{run}","version":{version},"time":"{T.format(at)}","type":"{kind}","data":{data}{tail}}}'
    ).encode()


START = ("started", '{"kind":"k"}')
TICK = ("ticked", '{"done":1}')


def history(*events: tuple[str, str], run: str = "a") -> list[tuple[int, int, int, bytes | None]]:
    return [(at, 1, at - 1, body(run, at, kind, data, at=at)) for at, (kind, data) in enumerate(events, 1)]


def kinds(check: RuleCheck) -> list[str]:
    return [finding.kind for finding in check.findings]


def test_a_good_history_has_no_findings_and_its_end_says_what_its_row_should_be() -> None:
    check = RuleCheck()
    rows = history(START, TICK, ("paused", "{}"), ("resumed", "{}"), TICK, TICK, ("completed", "{}"))
    (seen,) = check.feed(rows)
    assert (seen.run_id, seen.kind, seen.status, seen.version, seen.first, seen.last) == (
        "a", "k", "completed", 7, 1, 7,
    )  # fmt: skip
    assert seen.time == T.format(7)
    assert (check.findings, check.events, check.rest()) == ([], 7, [])


def _broken(position: int, new: bytes) -> list[tuple[int, int, int, bytes | None]]:
    rows = history(START, TICK, TICK, TICK)
    rows[position - 1] = (*rows[position - 1][:3], new)
    return rows


@pytest.mark.parametrize(
    ("rows", "kind"),
    [
        (_broken(3, body("a", 4, *TICK, at=3)), "version_gap"),
        (_broken(3, body("b", 3, *TICK, at=3)), "wrong_run"),
        (_broken(3, body("a", 3, *TICK, at=1)), "time_runs_back"),
        (_broken(3, body("a", 3, "ticked", '{"done":1,"advance":1}', at=3)), "invalid_event"),
        (_broken(3, body("a", 3, "ticked", '{"done":-1}', at=3)), "invalid_event"),
        (_broken(3, body("a", 3, "ticked", '{"done":9223372036854775808}', at=3)), "invalid_event"),
        (_broken(3, body("a", 3, "resumed", at=3)), "invalid_transition"),
        (_broken(1, body("a", 1, *TICK, at=1)), "invalid_transition"),
        (_broken(3, b"{}"), "not_an_event"),
        (_broken(3, b"\xff"), "not_an_event"),
        (_broken(3, body("a", 3, *TICK, at=3).replace(b":{", b": {")), "wrong_form"),
        ([(1, 1, 0, body("a", 1, *START)), (2, 1, 7, body("a", 2, *TICK))], "broken_link"),
        (history(START, ("completed", "{}"), TICK), "after_end"),
    ],
)
def test_a_breach_is_named(rows: list[tuple[int, int, int, bytes | None]], kind: str) -> None:
    check = RuleCheck()
    check.feed(rows)
    assert kinds(check)[0] == kind
    assert check.findings[0].position is not None


def test_a_slot_held_twice_and_an_event_id_used_twice_are_named() -> None:
    check = RuleCheck()
    slotted = '{"kind":"k","slot":"s"}'
    check.feed([(1, 1, 0, body("a", 1, "started", slotted)), (2, 2, 0, body("b", 1, "started", slotted))])
    check.feed([(3, 1, 1, body("a", 2, *TICK, event_id="x")), (4, 1, 3, body("a", 3, *TICK, event_id="x"))])
    assert kinds(check) == ["slot_taken", "event_id_twice"]


def test_a_slot_is_free_again_after_its_run_ended() -> None:
    check = RuleCheck()
    slotted = '{"kind":"k","slot":"s"}'
    check.feed(
        [(1, 1, 0, body("a", 1, "started", slotted)), (2, 1, 1, body("a", 2, "failed", '{"error":"x"}'))]
    )
    check.feed([(3, 2, 0, body("b", 1, "started", slotted))])
    assert check.findings == []
    assert [seen.status for seen in check.rest()] == ["running"]


def test_types_of_a_newer_release_are_counted_and_not_findings() -> None:
    check = RuleCheck()
    check.feed([(1, 1, 0, body("a", 1, *START)), (2, 1, 1, body("a", 2, "teleported"))])
    assert (kinds(check), check.unknown) == ([], 1)


def test_pruned_events_only_count() -> None:
    check = RuleCheck()
    check.feed([(1, 1, 0, None), (2, 1, 1, None)])
    assert check.findings == []
    assert check.pruned(1)
    assert [(seen.version, seen.last) for seen in check.rest()] == [(2, 2)]


def test_the_list_of_findings_is_bounded_and_the_rest_counted() -> None:
    check = RuleCheck()
    check.feed([(at, at, 0, b"{}") for at in range(1, MAX_FINDINGS + 11)])
    assert (len(check.findings), check.more) == (MAX_FINDINGS, 10)


def test_every_event_is_shown_to_whoever_asks() -> None:
    check, seen = RuleCheck(), []
    check.feed(history(START, TICK, TICK), on_event=lambda event: seen.append(event.version))
    assert seen == [1, 2, 3]


SOUND = [
    '{"done":1}',
    '{"done":1,"counts":{"passed":3},"message":"x"}',
    '{"advance":2},"event_id":"e1"',
    '{"done":1,"new_field":[1,{"a":"}"}]}',
    '{"done":1},"v":2',
]
BROKEN = [
    "{}",
    '{"done":1,"advance":1}',
    '{"done":-1}',
    '{"done":1},"type":"paused"',
    '{"done":1},"version":9',
    '{"done":1}}',
    '{"done":1}}\n{"data":{"done":1}',
    '{"done":1,"message":"',
    '"}',
    '{"done":[',
    '{"done":{',
    '{"done":1}},',
    '{"done":1}}]}',
    '{"done":1}]}}',
    "",
]


@given(
    st.lists(st.sampled_from(SOUND + BROKEN) | st.text('{}[]":,\nda', max_size=6), max_size=8), st.booleans()
)
@example(['{"done":[', '{"done":1}},', '{"done":1}}]}}\n{"data":{"done":1}}\n{"data":{"done":1}'], True)
def test_what_follows_a_head_is_judged_in_a_portion_as_it_is_alone(tails: list[str], ends: bool) -> None:
    rows = history(START, *(("ticked", tail) for tail in tails), *([("completed", "{}")] if ends else []))
    alone, together = RuleCheck(), RuleCheck()
    over = [seen for row in rows for seen in alone.feed([row])]
    assert together.feed(rows) == over

    def sorted_findings(check: RuleCheck) -> list[tuple[int, str]]:
        return sorted((finding.position or 0, finding.kind) for finding in check.findings)

    assert sorted_findings(together) == sorted_findings(alone)
    assert (together.events, together.unknown) == (alone.events, alone.unknown)
    if not set(BROKEN).isdisjoint(tails):
        assert together.findings
    elif set(SOUND).issuperset(tails):
        assert bool(together.findings) == (tails.count(SOUND[2]) > 1)


def test_an_event_id_is_used_once_whatever_the_events_are_and_wherever_they_come() -> None:
    rows = [
        (1, 1, 0, body("a", 1, *START)),
        (2, 1, 1, body("a", 2, *TICK, event_id="x")),
        (3, 2, 0, body("b", 1, *START)),
        (4, 2, 3, body("b", 2, *TICK, event_id="x")),
        (5, 1, 2, body("a", 3, "noted", '{"message":"m"}', event_id="y")),
        (6, 1, 5, body("a", 4, *TICK, event_id="y")),
        (7, 1, 6, body("a", 5, "completed", event_id="z")),
    ]
    check = RuleCheck()
    check.feed(rows)
    assert [(finding.kind, finding.position, finding.run_id) for finding in check.findings] == [
        ("event_id_twice", 6, "a")
    ]


def test_versions_go_on_beyond_those_that_are_kept_ready() -> None:
    check = RuleCheck()
    check.feed([(1, 1, 0, body("a", 1, *START))])
    check.feed([(at, 1, at - 1, body("a", at, *TICK)) for at in range(2, 5000)])
    assert check.findings == []
    check.feed([(5000, 1, 4999, body("a", 5001, *TICK))])
    assert kinds(check) == ["version_gap"]
