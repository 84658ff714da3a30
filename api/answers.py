"""Snapshots as they go over the wire, each made once for all who ask for it within a moment."""

import asyncio
from typing import NamedTuple

from starlette.types import Send

from progress_ledger.ledger.codec import ascii_json

from .access.rights import Access
from .replies import etag, matches
from .service import Service

__all__ = ("FRESH_SECONDS", "Answer", "Answers")

FRESH_SECONDS = 0.01
"""How old the moment of a snapshot may be that is answered again. Making one costs twice what the rest of an
answer does, and nothing that ages in it shows ten milliseconds."""


class Answer(NamedTuple):
    """An active run's snapshot, encoded, and the kind that says who may see it."""

    kind: str
    tag: str
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes

    async def send(self, send: Send, if_none_match: str | None) -> None:
        """200, or 304 without a body to who has it already."""
        # A new list each time: what stands between may add to it.
        if matches(self.tag, if_none_match):
            await send({"type": "http.response.start", "status": 304, "headers": list(self.headers[:2])})
            await send({"type": "http.response.body"})
            return
        await send({"type": "http.response.start", "status": 200, "headers": list(self.headers)})
        await send({"type": "http.response.body", "body": self.body})


class Answers:
    """Answers of active runs as of the newest event; those of one moment are kept until it has passed.

    An event of any run ends the moment, because a run's ETA depends on its children's. While runs are shown
    that are ahead of the fold, each answer is its own.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._kept: dict[str, Answer] = {}
        self._position = -1
        self._began = 0.0
        self._looked = False

    async def of(self, run_id: str, access: Access) -> Answer | None:
        """The run's answer; None when it is not active or the caller may not know of it.

        It reflects every commit of the run that any process had finished before the request was here.
        Raises Unavailable when the log cannot be read.
        """
        projector = self._service.projector
        if not self._looked:
            head = self._service.ledger.log.glance()
            if head is None or projector.position < head:
                await projector.caught_up((run_id,))
            else:
                # Who comes before a callback that is made now was here before the look, and need not look
                # again: of many readers at a time each would pay 5 µs for it.
                self._looked = True
                asyncio.get_running_loop().call_soon(self._forget_look)
        position = projector.position
        now = self._service.ledger.clock()
        if position != self._position or projector.ahead or not 0.0 <= now - self._began <= FRESH_SECONDS:
            self._kept.clear()
            self._position, self._began = position, now
        found = self._kept.get(run_id)
        if found is None:
            state = projector.newest(run_id)
            if state is None or state.finished_at is not None:
                return None
            snapshot = projector.look(state, now)
            tag, body = etag(self._service.ledger.epoch, snapshot), ascii_json(snapshot)
            headers = (
                (b"cache-control", b"no-cache"),
                (b"etag", tag.encode("ascii")),
                (b"content-length", b"%d" % len(body)),
                (b"content-type", b"application/json"),
            )
            found = self._kept[run_id] = Answer(state.kind, tag, headers, body)
        return found if access.sees(found.kind) else None

    def _forget_look(self) -> None:
        self._looked = False
