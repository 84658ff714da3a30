"""The in-memory engine and the one on SQLite are the same log, whatever is done to them."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from progress_ledger.ledger.door import draft_event, draft_run
from progress_ledger.ledger.errors import LedgerError
from progress_ledger.ledger.events import Completed, Payload, RunSpec, Ticked
from progress_ledger.ledger.log import Accepted, Append, Document, EventLog, RunFilter
from progress_ledger.ledger.memory import MemoryLog
from progress_ledger.ledger.sqlite import SQLiteLog
from tests.ledger.samples import PAYLOAD

RUN = st.sampled_from(["a", "b", "c", "d"])
EVENT_ID = st.none() | st.sampled_from(["x", "y", "z"])
SPEC = st.builds(
    RunSpec,
    kind=st.sampled_from(["k", "l"]),
    scope=st.none() | st.just("here"),
    slot=st.none() | st.sampled_from(["s", "t"]),
    labels=st.sampled_from([{}, {"team": "red"}, {"team": "blue", "gate": ""}]),
    parent=st.none() | RUN,
    retry_of=st.none() | RUN,
)


def _told(outcome: Accepted | LedgerError) -> Any:
    return outcome if isinstance(outcome, Accepted) else (outcome.code, str(outcome), outcome.fields())


class TwoEngines(RuleBasedStateMachine):
    """One memory log, and one file written through two engines in turns."""

    def __init__(self) -> None:
        super().__init__()
        self._runner = asyncio.Runner()
        self._stack = AsyncExitStack()
        self._folder = tempfile.TemporaryDirectory()
        self._turn = 0
        self.now = 1_795_300_000.0
        self.memory = MemoryLog()
        self._runner.run(self._open())

    async def _open(self) -> None:
        path = Path(self._folder.name) / "log.db"
        self.files = [
            await self._stack.enter_async_context(SQLiteLog.open(path, now=1.0, durability="process"))
            for _ in range(2)
        ]

    @property
    def file(self) -> EventLog:
        self._turn += 1
        return self.files[self._turn % 2]

    def _both(self, *requests: Append) -> None:
        async def commit() -> None:
            one = await self.memory.commit(requests, now=self.now)
            two = await self.file.commit(requests, now=self.now)
            assert [_told(each) for each in one.outcomes] == [_told(each) for each in two.outcomes]
            assert (one.after, one.events, one.heads) == (two.after, two.events, two.heads)

        self._runner.run(commit())

    @rule(run_id=RUN, spec=SPEC, queued=st.booleans())
    def create(self, run_id: str, spec: RunSpec, queued: bool) -> None:
        self._both(Append(run_id=run_id, drafts=[draft_run(spec, queued=queued)], create=True))

    @rule(
        run_id=RUN,
        payloads=st.lists(st.tuples(PAYLOAD, EVENT_ID), min_size=1, max_size=3),
        expected=st.none() | st.integers(0, 6),
    )
    def append(self, run_id: str, payloads: list[tuple[Payload, str | None]], expected: int | None) -> None:
        drafts = [draft_event(payload, event_id=event_id) for payload, event_id in payloads]
        self._both(Append(run_id=run_id, drafts=drafts, expected_version=expected))

    @rule(run_id=RUN, done=st.integers(0, 3), event_id=EVENT_ID, many=st.sampled_from([1, 1, 2, 40]))
    def tick(self, run_id: str, done: int, event_id: str | None, many: int) -> None:
        draft = draft_event(Ticked(done=done), event_id=event_id)
        self._both(*(Append(run_id=run_id, drafts=[draft]) for _ in range(many)))

    @rule(run_id=RUN, other=RUN, spec=SPEC)
    def hand_over(self, run_id: str, other: str, spec: RunSpec) -> None:
        end = draft_event(Completed())
        self._both(
            Append(run_id=run_id, drafts=[end]),
            Append(run_id=other, drafts=[draft_run(spec)], create=True),
            Append(run_id=other, drafts=[end]),
        )

    @rule(seconds=st.floats(-3, 3))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(key=RUN, position=st.integers(0, 9), checkpoint=st.none() | st.integers(0, 9))
    def keep(self, key: str, position: int, checkpoint: int | None) -> None:
        async def save() -> None:
            for log in (self.memory, self.file):
                document = Document(key, position, f"{key} at {position}".encode())
                await log.save_documents("s", [document], checkpoint=checkpoint)

        self._runner.run(save())

    @rule(
        where=st.builds(
            RunFilter,
            kind=st.none() | st.just("k"),
            scope=st.none() | st.just("here"),
            labels=st.sampled_from([(), (("team", "red"),)]),
            statuses=st.none() | st.just(frozenset({"running", "failed"})),
            parent=st.none() | RUN,
        ),
        limit=st.integers(1, 3),
    )
    def list_runs(self, where: RunFilter, limit: int) -> None:
        async def pages(log: EventLog) -> list[str]:
            found: list[str] = []
            after: int | None = None
            while True:
                page = await log.runs(where, after=after, limit=limit)
                found += [head.run_id for head in page.runs]
                if (after := page.next) is None:
                    return found

        async def compare() -> None:
            assert await pages(self.memory) == await pages(self.file)
            assert await self.memory.count_runs(where) == await self.file.count_runs(where)

        self._runner.run(compare())

    @invariant()
    def they_hold_the_same(self) -> None:
        async def compare() -> None:
            assert await self.memory.head() == await self.file.head()
            assert [tuple(row) for row in await self.memory.read(0, limit=100_000)] == [
                tuple(row) for row in await self.file.read(0, limit=100_000)
            ]
            heads = await self.memory.runs_by_id("abcd")
            assert heads == await self.file.runs_by_id("abcd")
            for run_id in heads:
                assert await self.memory.read_run(run_id, after=1, limit=50) == await self.file.read_run(
                    run_id, after=1, limit=50
                )
            assert await self.memory.checkpoint("s") == await self.file.checkpoint("s")
            assert sorted(await self.memory.load_documents("s")) == sorted(
                await self.file.load_documents("s")
            )

        self._runner.run(compare())

    def teardown(self) -> None:
        self._runner.run(self._stack.aclose())
        self._runner.close()
        self._folder.cleanup()


FEW = settings(
    max_examples=20,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)


def test_whatever_is_done_to_both_engines_they_stay_the_same_log() -> None:
    run_state_machine_as_test(TwoEngines, settings=FEW)
