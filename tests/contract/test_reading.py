"""What is read back, and in which order: the same on every engine."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from progress_ledger.ledger.errors import Closed
from progress_ledger.ledger.events import Completed, Failed, Paused, RunSpec, Ticked
from progress_ledger.ledger.log import SCAN_PAGE, Document, EventLog, RunFilter
from progress_ledger.ledger.memory import MemoryLog
from tests.contract.steps import (
    NOW,
    accepted,
    append,
    bodies,
    contents,
    creation,
    draft,
    events,
    outcomes,
    ticks,
)

pytestmark = pytest.mark.anyio


async def test_an_empty_log_has_an_epoch_and_nothing_else(log: EventLog) -> None:
    assert re.fullmatch(r"[0-9a-f]{16}", log.epoch)
    assert await log.head() == 0
    assert await log.read(0, limit=10) == []
    assert await log.read_run("r", limit=10) == []
    assert await log.run("r") is None
    assert (await log.runs(RunFilter())).runs == []
    assert await log.count_runs(RunFilter()) == {}


async def test_pages_of_the_log_neither_skip_nor_repeat(log: EventLog) -> None:
    await outcomes(log, *(creation(f"r{number}") for number in range(5)))
    await outcomes(log, *(append(f"r{number}", *ticks(1, 2, 3)) for number in range(5)))
    whole = await contents(log)
    assert len(whole) == 20
    assert whole[-1][0] == await log.head()
    assert log.glance() in (None, whole[-1][0])
    for size in (1, 3, 7, 20, 21):
        found: list[tuple[int, bytes | None]] = []
        while page := await log.read(found[-1][0] if found else 0, limit=size):
            assert len(page) <= size
            found += page
        assert found == whole
    assert await log.read(2**63 + 5, limit=10) == []


async def test_a_scan_hands_over_the_same_events_as_pages_do(log: EventLog) -> None:
    await outcomes(log, creation("r"), append("r", *ticks(*range(2_500))))
    whole = await contents(log)
    for after, through, limit in (
        (0, 9_999, 9_999),
        (0, 1_700, 9_999),
        (40, 2_100, 1_234),
        (2**63, 2**64, 5),
        (7, 7, 9),
    ):
        pages: list[Sequence[tuple[int, bytes | None]]] = []

        def visit(page: Sequence[tuple[int, bytes | None]], pages: list[Any] = pages) -> bool:
            pages.append(page)
            return True

        await log.scan(after, through=through, limit=limit, visit=visit)
        found = [event for page in pages for event in page]
        assert found == [event for event in whole if after < event[0] <= through][:limit]
        assert all(0 < len(page) <= SCAN_PAGE for page in pages)


async def test_a_scan_ends_when_its_visitor_has_enough_or_raises(log: EventLog) -> None:
    await outcomes(log, creation("r"), append("r", *ticks(*range(2_500))))
    visits: list[int] = []

    def enough(page: Sequence[tuple[int, bytes | None]]) -> bool:
        visits.append(len(page))
        return False

    def fails(page: Sequence[tuple[int, bytes | None]]) -> bool:
        raise KeyError(page[0][0])

    await log.scan(0, through=9_999, limit=9_999, visit=enough)
    assert visits == [SCAN_PAGE]
    with pytest.raises(KeyError):
        await log.scan(0, through=9_999, limit=9_999, visit=fails)
    assert await log.head() == 2_501


async def test_a_reader_that_has_seen_a_position_never_meets_an_older_one(log: EventLog) -> None:
    runs = [f"r{number}" for number in range(4)]
    await outcomes(log, *(creation(run_id) for run_id in runs))
    seen: list[list[int]] = [[], [], []]
    writing = True

    async def write(run_id: str) -> None:
        for done in range(40):
            await accepted(log, append(run_id, *ticks(done)))

    async def read(positions: list[int], limit: int) -> None:
        while True:
            last_look = not writing
            page = await log.read(positions[-1] if positions else 0, limit=limit)
            positions += [position for position, _ in page]
            if not page and last_look:
                return
            # As long as nothing is there the reader must let the writers go on.
            await anyio.sleep(0.001)

    async with anyio.create_task_group() as readers:
        for positions, limit in zip(seen, (1, 5, 1000), strict=True):
            readers.start_soon(read, positions, limit)
        async with anyio.create_task_group() as writers:
            for run_id in runs:
                writers.start_soon(write, run_id)
        writing = False
    whole = [position for position, _ in await contents(log)]
    assert len(whole) == 4 + 4 * 40
    for positions in seen:
        assert positions == whole


async def test_one_run_is_read_from_the_midst_of_many(log: EventLog) -> None:
    runs = [f"r{number}" for number in range(3)]
    await outcomes(log, *(creation(run_id) for run_id in runs))
    for start in range(0, 600, 50):
        await outcomes(log, *(append(run_id, *ticks(*range(start, start + 50))) for run_id in runs))
    for run_id in runs:
        whole = await events(log, run_id)
        assert [event.version for event in whole] == list(range(1, 602))
        assert {event.run_id for event in whole} == {run_id}
        # around the 256th and 512th, where a page may be found from a mark
        for after, limit in itertools.product(
            (0, 1, 254, 255, 256, 257, 511, 512, 600, 601, 2**70), (1, 2, 256, 1000)
        ):
            page = await events(log, run_id, after=after, limit=limit)
            assert page == whole[after : after + limit]


async def test_paging_a_run_reaches_its_end(log: EventLog) -> None:
    await accepted(log, creation("r"))
    await accepted(log, append("r", *ticks(*range(299))))
    found: list[int] = []
    while page := await events(log, "r", after=len(found), limit=70):
        found += [event.version for event in page]
    assert found == list(range(1, 301))


async def test_a_head_says_what_the_run_is_and_where_it_stands(log: EventLog) -> None:
    spec = RunSpec(
        kind="bulk",
        scope="x",
        title="T",
        parent="p",
        owner="me",
        slot="s",
        lease_seconds=9,
        labels={"a": "b"},
    )
    await accepted(log, creation("other"))
    await accepted(log, creation("r", spec))
    last = await accepted(log, append("r", *ticks(1), draft(Paused())))
    head = await log.run("r")
    assert head is not None
    assert (head.kind, head.scope, head.title, head.parent, head.owner) == ("bulk", "x", "T", "p", "me")
    assert (head.slot, head.lease_seconds, head.labels, head.attempt) == ("s", 9.0, {"a": "b"}, 1)
    assert (head.status, head.version, head.active) == ("paused", 3, True)
    assert (head.first, head.last) == (last.receipts[0].position - 1, last.receipts[1].position)
    assert head.time == (await events(log, "r"))[-1].time
    assert await log.runs_by_id(["r", "nobody", "r", "ü", "\udc00"]) == {"r": head}


async def test_heads_come_with_those_of_active_children_when_asked_for_as_many(log: EventLog) -> None:
    await accepted(log, creation("p"))
    await accepted(log, creation("q"))
    for number in range(4):
        spec = RunSpec(kind="k", parent="q" if number == 3 else "p")
        await accepted(log, creation(f"c{number}", spec))
    await accepted(log, append("c1", draft(Completed())))
    assert set(await log.runs_by_id(["p"])) == {"p"}
    assert set(await log.runs_by_id(["p"], children=9)) == {"p", "c0", "c2"}
    assert set(await log.runs_by_id(["p", "q", "nobody"], children=9)) == {"p", "q", "c0", "c2", "c3"}
    assert len(await log.runs_by_id(["p", "q"], children=2)) == 4
    found = await log.runs_by_id(["p"], children=9)
    assert found["c0"] == await log.run("c0")


async def _some_runs(log: EventLog) -> None:
    specs = {
        "a1": RunSpec(kind="a", scope="x", labels={"team": "red", "gate": "1"}, title="Größe"),
        "a2": RunSpec(kind="a", scope="y", labels={"team": "blue"}, parent="a1"),
        "b1": RunSpec(kind="b", scope="x", labels={"team": "red"}, slot="s1"),
        "b2": RunSpec(kind="b", title="100% _sure_"),
        "c1": RunSpec(kind="c", parent="a1", labels={"team": "red:er"}),
    }
    await outcomes(log, *(creation(run_id, spec, queued=run_id == "c1") for run_id, spec in specs.items()))
    await accepted(log, append("a1", draft(Completed())))
    await accepted(log, append("b2", draft(Failed(error="e"))))


@pytest.mark.parametrize(
    ("where", "found"),
    [
        (RunFilter(), "a1 a2 b1 b2 c1"),
        (RunFilter(kind="a"), "a1 a2"),
        (RunFilter(kinds=frozenset("ac")), "a1 a2 c1"),
        (RunFilter(kinds=frozenset()), ""),
        (RunFilter(scope="x"), "a1 b1"),
        (RunFilter(statuses=frozenset({"running", "queued"})), "a2 b1 c1"),
        (RunFilter(statuses=frozenset({"failed"})), "b2"),
        (RunFilter(labels=(("team", "red"),)), "a1 b1"),
        (RunFilter(labels=(("team", "red"), ("gate", "1"))), "a1"),
        (RunFilter(labels=(("team", "red:er"),)), "c1"),
        (RunFilter(labels=(("team", "green"),)), ""),
        (RunFilter(parent="a1"), "a2 c1"),
        (RunFilter(slot="s1"), "b1"),
        (RunFilter(run_ids=frozenset({"b2", "a2", "nobody"})), "a2 b2"),
        (RunFilter(kind="a", scope="x", statuses=frozenset({"completed"})), "a1"),
        (RunFilter(q="A"), "a1 a2"),
        (RunFilter(q="GRÖSSE"), "a1"),
        (RunFilter(q="größe"), "a1"),
        (RunFilter(q="%"), "b2"),
        (RunFilter(q="_"), "b2"),
        (RunFilter(q="a%"), ""),
        (RunFilter(q="\\"), ""),
        (RunFilter(kind="\udc80"), ""),
        (RunFilter(q="\udc80"), ""),
        (RunFilter(kinds=frozenset({"\udc80"}), labels=(("\udc80", "\udc80"),)), ""),
    ],
    ids=repr,
)
async def test_a_filter_finds_what_fits_all_of_it(log: EventLog, where: RunFilter, found: str) -> None:
    await _some_runs(log)
    runs = (await log.runs(where, order="created")).runs
    assert " ".join(head.run_id for head in runs) == found
    assert all(where.matches(head) for head in runs)
    counts = await log.count_runs(where)
    assert sum(counts.values()) == len(runs)
    assert all(counts[status] == sum(head.status == status for head in runs) for status in counts)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 9])
async def test_pages_of_runs_neither_skip_nor_repeat_while_runs_come_and_go(log: EventLog, size: int) -> None:
    await outcomes(log, *(creation(f"r{number}") for number in range(8)))
    there = [f"r{number}" for number in range(8)]
    found: list[str] = []
    after: int | None = None
    while True:
        page = await log.runs(RunFilter(), after=after, limit=size)
        assert len(page.runs) <= size
        found += [head.run_id for head in page.runs]
        after = page.next
        if after is None:
            break
        # newer runs come in front of the first page, older ones end
        await accepted(log, creation(f"new-{len(found)}"))
        await accepted(log, append(found[-1], draft(Completed())))
    assert found == there[::-1]
    forwards = await log.runs(RunFilter(run_ids=frozenset(there)), order="created", limit=500)
    assert [head.run_id for head in forwards.runs] == there
    assert forwards.next is None
    assert (await log.runs(RunFilter(), order="created", after=2**80)).runs == []


async def test_numbers_of_runs_grow_in_order_of_creation(log: EventLog) -> None:
    await outcomes(log, creation("z"), creation("a"), append("bad", *ticks(1)), creation("m"))
    heads = (await log.runs(RunFilter(), order="created")).runs
    assert [head.run_id for head in heads] == ["z", "a", "m"]
    assert [head.number for head in heads] == sorted({head.number for head in heads})


# ── documents ───────────────────────────────────────────────────────────────────────────────────────────


async def test_the_newest_document_of_a_key_wins_whichever_comes_last(log: EventLog) -> None:
    await log.save_documents("s", [Document("a", 5, b"five"), Document("b", 1, b"one")])
    await log.save_documents("s", [Document("a", 3, b"three"), Document("b", 2, b"two")])
    await log.save_documents("other", [Document("a", 9, b"nine")])
    assert sorted(await log.load_documents("s")) == [Document("a", 5, b"five"), Document("b", 2, b"two")]
    assert await log.load_documents("s", ["b", "nobody"]) == [Document("b", 2, b"two")]
    assert await log.load_documents("s", []) == []
    await log.save_documents("s", [Document("a", 5, b"again")])
    assert await log.load_documents("s", ["a"]) == [Document("a", 5, b"again")]


async def test_a_checkpoint_only_moves_up_and_each_space_has_its_own(log: EventLog) -> None:
    assert await log.checkpoint("s") == 0
    await log.save_documents("s", [], checkpoint=7)
    await log.save_documents("s", [Document("a", 1, b"")], checkpoint=4)
    assert await log.checkpoint("s") == 7
    await log.save_documents("s", [Document("a", 2, b"")])
    assert await log.checkpoint("s") == 7
    assert await log.checkpoint("other") == 0


async def test_a_space_that_is_cleared_begins_again(log: EventLog) -> None:
    await accepted(log, creation("r"))
    await log.save_documents("s", [Document("a", 1, b"x")], checkpoint=7)
    await log.save_documents("t", [Document("a", 1, b"y")], checkpoint=8)
    await log.clear_documents("s")
    assert await log.load_documents("s") == []
    assert await log.checkpoint("s") == 0
    assert await log.load_documents("t") == [Document("a", 1, b"y")]
    assert await log.checkpoint("t") == 8
    assert await log.head() == 1


# ── closing ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_closed_log_says_so(log: EventLog) -> None:
    await log.close()
    await log.close()
    for call in (
        log.commit([creation("r")], now=NOW),
        log.head(),
        log.read(0, limit=1),
        log.read_run("r", limit=1),
        log.run("r"),
        log.runs(RunFilter()),
        log.count_runs(RunFilter()),
        log.checkpoint("s"),
        log.save_documents("s", []),
        log.load_documents("s"),
        log.clear_documents("s"),
    ):
        with pytest.raises(Closed):
            await call
    with pytest.raises(Closed):
        log.glance()


# ── the stored bytes ────────────────────────────────────────────────────────────────────────────────────


async def test_two_engines_store_the_same_bytes(log: EventLog) -> None:
    other = MemoryLog()
    for each in (log, other):
        await outcomes(
            each,
            creation("r", RunSpec(kind="k", title="naïve 🙂 \u2028", labels={"a": "ü"})),
            append("r", draft(Ticked(done=1, counts={"x": 2}, message="\x85"), "id-ü")),
        )
    found = bodies(await contents(log))
    assert found == bodies(await contents(other))
    assert all(body.isascii() for body in found)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=200))
def test_any_text_comes_back_as_it_went_in(text: str) -> None:
    async def there_and_back() -> None:
        log = MemoryLog()
        await accepted(log, creation("r"))
        await accepted(log, append("r", draft(Ticked(done=1, message=text))))
        event = (await events(log, "r"))[-1]
        assert event.data == Ticked(done=1, message=text)

    anyio.run(there_and_back)
