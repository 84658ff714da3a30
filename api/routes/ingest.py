"""``POST /v1/events``: JSON lines of any runs, read as they come, each standing alone.

However long the body is, memory holds one batch of it. A batch is on disk before the next one is read.
"""

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Scope

from progress_ledger.ledger.door import check_run_id
from progress_ledger.ledger.errors import InvalidEvent, LedgerError, TooLarge, Unavailable
from progress_ledger.ledger.log import Append

from ..access.limiting import spend_runs
from ..access.rights import access_of
from ..bodies import check_text, chunks, decode
from ..problems import Refusal, problem, status_of
from ..replies import json_reply
from ..service import Service
from ..tracing import note
from .intake import LineIn
from .run_events import begins, require_writable

__all__ = ("MAX_LINE_BYTES", "MAX_REFUSED", "Line", "Lines", "routes")

MAX_LINE_BYTES = 256 * 1024
"""Longest line. Data that is stored in 60 KiB may be sent with spaces and needless escapes."""

MAX_REFUSED = 10_000
"""Refusals that are told one by one; further ones are only counted, in ``more_refused``."""

_BATCH_EVENTS = 512
_BATCH_BYTES = 1024 * 1024

_line = msgspec.json.Decoder(LineIn)


def routes(service: Service) -> list[BaseRoute]:
    """``POST /v1/events``."""
    return [Route("/v1/events", partial(_ingest, service), methods=["POST"], name="ingest_events")]


class Line(NamedTuple):
    """A line with its number, from 1; ``text`` is None when it was too long to keep."""

    number: int
    text: bytes | None


class Lines:
    """Cuts a body into its lines, whatever the parts it comes in. Empty lines are counted and left out."""

    def __init__(self, *, longest: int = MAX_LINE_BYTES) -> None:
        self._longest = longest
        self._rest = bytearray()
        self._dropping = False
        self._number = 0

    def feed(self, part: bytes) -> Iterator[Line]:
        """The lines that ``part`` completes."""
        start = 0
        while (end := part.find(b"\n", start)) >= 0:
            yield from self._finish(part[start:end])
            start = end + 1
        self._keep(part[start:])

    def end(self) -> Iterator[Line]:
        """The last line, when the body did not end with a line feed."""
        yield from self._finish(b"")

    def _keep(self, text: bytes) -> None:
        if self._dropping or len(self._rest) + len(text) > self._longest:
            self._dropping = True
            self._rest.clear()
        else:
            self._rest += text

    def _finish(self, text: bytes) -> Iterator[Line]:
        self._keep(text)
        self._number += 1
        line = bytes(self._rest).strip()
        dropped, self._dropping = self._dropping, False
        self._rest.clear()
        if dropped:
            yield Line(self._number, None)
        elif line:
            yield Line(self._number, line)


class _Refused(Struct):
    line: int
    code: str
    detail: str


class _Intake:
    """What became of the lines so far, and those that wait to be appended together."""

    def __init__(self, service: Service, scope: Scope) -> None:
        self._service = service
        self._scope = scope
        self._access = access_of(scope)
        self._waiting: list[tuple[int, Append]] = []
        self._size = 0
        self._accepted = 0
        self._refused: list[_Refused] = []
        self._more = 0

    async def take(self, line: Line) -> None:
        try:
            if line.text is None:
                raise TooLarge(
                    f"The line is longer than {MAX_LINE_BYTES} bytes; an event's data holds 60 KiB."
                )
            check_text(line.text)
            event = decode(line.text, _line, InvalidEvent)
            request = Append(run_id=check_run_id(event.run_id), drafts=[event.draft()])
            await require_writable(self._service, self._access, request.run_id, request.drafts)
            if begins(request.drafts):
                spend_runs(self._scope)
        except (LedgerError, Refusal) as error:
            self._refuse(line.number, error)
            return
        self._waiting.append((line.number, request))
        self._size += len(line.text)
        if len(self._waiting) >= _BATCH_EVENTS or self._size >= _BATCH_BYTES:
            await self.flush()

    async def flush(self) -> None:
        """Raises Unavailable when nothing of what waited was stored."""
        if not self._waiting:
            return
        waiting, self._waiting, self._size = self._waiting, [], 0
        outcomes = await self._service.ledger.append_many([request for _, request in waiting])
        for (number, _), outcome in zip(waiting, outcomes, strict=True):
            if isinstance(outcome, LedgerError):
                self._refuse(number, outcome)
            else:
                self._accepted += 1
        note(self._scope, events=self._accepted)

    def report(self) -> dict[str, object]:
        # Shape errors are found before the ledger's own, a batch earlier: told in the order of the lines.
        self._refused.sort(key=lambda refused: refused.line)
        report: dict[str, object] = {"accepted": self._accepted, "refused": self._refused}
        if self._more:
            report["more_refused"] = self._more
        note(self._scope, lines_refused=len(self._refused) + self._more)
        return report

    def _refuse(self, number: int, error: LedgerError | Refusal) -> None:
        if len(self._refused) < MAX_REFUSED:
            self._refused.append(_Refused(number, error.code, str(error)))
        else:
            self._more += 1


async def _ingest(service: Service, request: Request) -> Response:
    intake = _Intake(service, request.scope)
    lines = Lines()
    try:
        async for part in chunks(request):
            for line in lines.feed(part):
                await intake.take(line)
            if service.drain.begun:
                await intake.flush()
                raise Unavailable("The server is stopping; send the lines again that were not yet accepted.")
        for line in lines.end():
            await intake.take(line)
        await intake.flush()
    except Unavailable as error:
        # Lines of earlier batches are on disk: the sender needs to know how many.
        return problem(status_of(error), error.code, str(error), {**error.fields(), **intake.report()})
    return json_reply(intake.report())
