"""The in-memory engine: the rules of the log without a disk, and the clearest statement of them.

It passes the same suite as the engine on SQLite. Nothing of it survives the process.
"""

import secrets
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Literal

from .batch import Known, World, known_of, needs, plan
from .errors import Closed, Pruned
from .log import SCAN_PAGE, Append, Commit, Document, RunFilter, RunHead, RunPage, Stored, Visit
from .times import format_time

__all__ = ("MemoryLog",)


class MemoryLog:
    """An :class:`~.log.EventLog` that lives in this process and is lost with it."""

    def __init__(self) -> None:
        self._epoch = secrets.token_hex(8)
        self._events: list[Stored] = []
        self._versions: dict[str, list[Stored]] = {}
        self._heads: dict[str, RunHead] = {}
        self._known: dict[tuple[str, str], Stored] = {}
        self._documents: dict[str, dict[str, Document]] = {}
        self._checkpoints: dict[str, int] = {}
        self._closed = False

    @property
    def epoch(self) -> str:
        return self._epoch

    async def commit(self, requests: Sequence[Append], *, now: float) -> Commit:
        self._open()
        world = self._world(requests)
        after = world.position
        done = plan(requests, world, time=format_time(now))
        for recorded in done.events:
            event = recorded.event
            stored = Stored(event.position, recorded.body)
            self._events.append(stored)
            self._versions.setdefault(event.run_id, []).append(stored)
            if event.event_id is not None:
                self._known[event.run_id, event.event_id] = stored
        self._heads.update(done.touched)
        return Commit(after, done.outcomes, done.events, done.touched)

    async def head(self) -> int:
        self._open()
        return self._events[-1].position if self._events else 0

    def glance(self) -> int:
        self._open()
        return self._events[-1].position if self._events else 0

    async def read(self, after: int, *, limit: int) -> Sequence[tuple[int, bytes | None]]:
        self._open()
        start = bisect_right(self._events, after, key=lambda stored: stored.position)
        return self._events[start : start + limit]

    async def scan(self, after: int, *, through: int, limit: int, visit: Visit) -> None:
        events = [stored for stored in await self.read(after, limit=limit) if stored[0] <= through]
        for start in range(0, len(events), SCAN_PAGE):
            if not visit(events[start : start + SCAN_PAGE]):
                return

    async def read_run(self, run_id: str, *, after: int = 0, limit: int) -> list[Stored]:
        self._open()
        head = self._heads.get(run_id)
        if head is not None and head.pruned is not None:
            raise Pruned(run_id, head.pruned or None)
        return self._versions.get(run_id, [])[after : after + limit]

    async def run(self, run_id: str) -> RunHead | None:
        self._open()
        return self._heads.get(run_id)

    async def runs_by_id(self, run_ids: Iterable[str], *, children: int = 0) -> dict[str, RunHead]:
        self._open()
        wanted = set(run_ids)
        if children:
            active = (head for head in self._heads.values() if head.parent in wanted and head.active)
            wanted.update([head.run_id for head in islice(active, children)])
        return {run_id: self._heads[run_id] for run_id in wanted if run_id in self._heads}

    async def runs(
        self,
        where: RunFilter,
        *,
        order: Literal["created", "-created"] = "-created",
        after: int | None = None,
        limit: int = 100,
    ) -> RunPage:
        self._open()
        backwards = order == "-created"
        beyond = [
            head
            for head in sorted(self._heads.values(), key=lambda head: head.number, reverse=backwards)
            if where.matches(head)
            and (after is None or (head.number < after if backwards else head.number > after))
        ]
        page = beyond[:limit]
        return RunPage(page, page[-1].number if len(beyond) > limit else None)

    async def count_runs(self, where: RunFilter) -> dict[str, int]:
        self._open()
        return dict(Counter(head.status for head in self._heads.values() if where.matches(head)))

    async def save_documents(
        self, space: str, documents: Sequence[Document], *, checkpoint: int | None = None
    ) -> None:
        self._open()
        kept = self._documents.setdefault(space, {})
        for document in documents:
            before = kept.get(document.key)
            if before is None or before.position <= document.position:
                kept[document.key] = document
        if checkpoint is not None:
            self._checkpoints[space] = max(checkpoint, self._checkpoints.get(space, 0))

    async def load_documents(self, space: str, keys: Sequence[str] | None = None) -> list[Document]:
        self._open()
        kept = self._documents.get(space, {})
        return list(kept.values()) if keys is None else [kept[key] for key in keys if key in kept]

    async def checkpoint(self, space: str) -> int:
        self._open()
        return self._checkpoints.get(space, 0)

    async def clear_documents(self, space: str) -> None:
        self._open()
        self._documents.pop(space, None)
        self._checkpoints.pop(space, None)

    async def close(self) -> None:
        self._closed = True

    def _open(self) -> None:
        if self._closed:
            raise Closed

    def _world(self, requests: Sequence[Append]) -> World:
        wanted = needs(requests)
        heads = {run_id: self._heads[run_id] for run_id in wanted.run_ids if run_id in self._heads}
        known: dict[tuple[str, str], Known] = {
            key: known_of(self._known[key]) for key in wanted.event_ids if key in self._known
        }
        return World(
            position=self._events[-1].position if self._events else 0,
            number=len(self._heads),
            heads=heads,
            slots={
                head.slot: head
                for head in (self._heads.values() if wanted.slots else ())
                if head.slot is not None and head.slot in wanted.slots and head.active
            },
            known=known,
            firsts={
                run_id: known_of(self._versions[run_id][0])
                for run_id in wanted.firsts
                if run_id in self._versions
            },
        )
