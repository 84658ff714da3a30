"""A ledger behind HTTP, with the surface of one in this process. Needs the extra ``remote`` (httpx).

What is sent carries an ``event_id``, so that a request whose answer was lost can be sent again and nothing
is appended twice; a server that restarts in the middle of a run is waited for, and the run goes on.
"""

import os
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import anyio
import httpx
import msgspec

from ..codec import ascii_json
from ..door import Draft, check_run_id, draft_event, draft_run
from ..errors import LedgerError, Unavailable
from ..events import Payload, RunSpec
from ..ids import new_run_id
from ..liveness.owner import default_name
from ..log import Accepted, Receipt
from .remote_problem import error_of
from .reporting import Reporting
from .sink import Created, News
from .watch import Watch

__all__ = ("ENV_TOKEN", "FLUSH_SECONDS", "LOOK_SECONDS", "RemoteLedger")

ENV_TOKEN = "PROGRESS_LEDGER_TOKEN"

FLUSH_SECONDS = 5.0
"""How long closing waits for what the producers still have to say."""

LOOK_SECONDS = 2.0
"""Time between two looks at what others did to the runs."""

_CREATED = 201

_IDS = 100

_NEWEST = 1_000


class _Run(msgspec.Struct):
    run_id: str
    status: str
    version: int
    position: int
    cancel_requested: bool = False


class _Runs(msgspec.Struct):
    runs: list[_Run]


class _ReceiptIn(msgspec.Struct):
    position: int
    version: int


class _Answer(msgspec.Struct):
    receipts: list[_ReceiptIn]


class _Event(msgspec.Struct):
    type: str
    data: dict[str, Any]


class _Events(msgspec.Struct):
    events: list[_Event]


_run = msgspec.json.Decoder(_Run)
_events = msgspec.json.Decoder(_Events)
_runs = msgspec.json.Decoder(_Runs)
_answer = msgspec.json.Decoder(_Answer)


def _first(error: BaseException) -> str:
    if isinstance(error, BaseExceptionGroup):
        return _first(cast("BaseExceptionGroup[BaseException]", error).exceptions[0])
    return str(error).rstrip(".") or type(error).__name__


class RemoteLedger(Reporting):
    """A server's ledger. Every method raises what the ledger raises there, and Unavailable when the server
    cannot be reached or does not answer in time."""

    answers_may_get_lost = True
    """A request that raised Unavailable may have been stored all the same."""

    def __init__(self, client: httpx.AsyncClient, *, owner: str, clock: Callable[[], float]) -> None:
        self.owner = owner
        self.clock = clock
        self._client = client

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        url: str,
        *,
        token: str | None = None,
        owner: str | None = None,
        timeout: float = 10.0,
        clock: Callable[[], float] = time.time,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> AsyncGenerator["RemoteLedger", None]:
        """The ledger served at ``url``, which need not be up yet.

        ``token`` opens it, else the one in ``PROGRESS_LEDGER_TOKEN``. ``timeout`` is in seconds, for one
        request. Raises Unavailable when ``url`` is none.
        """
        token = token or os.environ.get(ENV_TOKEN)
        headers = {"Content-Type": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        failed: Exception | None = None
        try:
            base = httpx.URL(url.rstrip("/") + "/v1/")
        except httpx.InvalidURL as error:
            raise Unavailable(f"{url!r} is no URL of a server ({error}); write http://HOST:PORT.") from error
        async with httpx.AsyncClient(
            base_url=base, headers=headers, timeout=timeout, transport=transport
        ) as client:
            ledger = cls(client, owner=owner or default_name(), clock=clock)
            async with anyio.create_task_group() as tasks:
                ledger._watch = Watch(ledger, tasks.start_soon, every=LOOK_SECONDS)
                try:
                    yield ledger
                except Exception as error:
                    # Raised below: a task group would wrap the caller's exception into a group.
                    failed = error
                finally:
                    await ledger._watch.close(FLUSH_SECONDS)
        if failed is not None:
            raise failed

    async def create(self, spec: RunSpec, *, run_id: str | None = None, queued: bool = False) -> Created:
        """As :meth:`.Ledger.create`."""
        run_id = new_run_id() if run_id is None else check_run_id(run_id)
        draft_run(spec, queued=queued)
        body: dict[str, Any] = msgspec.to_builtins(spec)
        body |= {"run_id": run_id, "status": "queued" if queued else "running"}
        answer = await self._ask("POST", "runs", ascii_json(body), run_id)
        run = self._decoded(_run, answer)
        return Created(run_id, Receipt(run.position, run.version), answer.status_code == _CREATED)

    async def append(
        self, run_id: str, events: Sequence[Payload | Draft], *, expected_version: int | None = None
    ) -> Accepted:
        """As :meth:`.Ledger.append`. Give events an ``event_id`` if you mean to send them again."""
        check_run_id(run_id)
        drafts = [event if isinstance(event, Draft) else draft_event(event) for event in events]
        body: dict[str, Any] = {
            "events": [
                {"type": draft.type, "data": msgspec.Raw(draft.data.encode())}
                | ({} if draft.event_id is None else {"event_id": draft.event_id})
                for draft in drafts
            ]
        }
        if expected_version is not None:
            body["expected_version"] = expected_version
        answer = await self._ask("POST", f"runs/{run_id}/events", ascii_json(body), run_id)
        receipts = [Receipt(each.position, each.version) for each in self._decoded(_answer, answer).receipts]
        if len(receipts) != len(drafts):
            raise Unavailable(f"The server answered {len(receipts)} receipts for {len(drafts)} events.")
        return Accepted(receipts=receipts, appended=len(drafts) if answer.status_code == _CREATED else 0)

    async def look(self, since: Mapping[str, int]) -> dict[str, News]:
        """What is new in runs: see :class:`~.sink.Sink`."""
        news: dict[str, News] = {}
        run_ids = list(since)
        for start in range(0, len(run_ids), _IDS):
            some = run_ids[start : start + _IDS]
            answer = await self._ask("GET", f"runs/batch?ids={','.join(some)}", None, some[0])
            for run in self._decoded(_runs, answer).runs:
                asked = run.cancel_requested and run.version > since.get(run.run_id, 0)
                reason = await self._reason(run, since.get(run.run_id, 0)) if asked else None
                news[run.run_id] = News(run.status, run.version, run.cancel_requested, reason)
        return news

    async def _reason(self, run: _Run, seen: int) -> str | None:
        # Why it is asked to stop: it is in no snapshot. That it is asked counts, also when this fails.
        after = max(seen, run.version - _NEWEST)
        path = f"runs/{run.run_id}/events?after={after}&limit={_NEWEST}"
        try:
            events = self._decoded(_events, await self._ask("GET", path, None, run.run_id)).events
        except LedgerError:
            return None
        reasons = [event.data.get("reason") for event in events if event.type == "cancel_requested"]
        return reasons[-1] if reasons else None

    async def _ask(self, method: str, path: str, body: bytes | None, run_id: str) -> httpx.Response:
        try:
            answer = await self._client.request(method, path, content=body)
        except Exception as error:
            # Not only httpx's own: a port past 65,535, a name no resolver takes and a process that is ending
            # raise something else each, and no job may fail for its ledger's address.
            why = _first(error)
            raise Unavailable(f"{self._client.base_url} cannot be reached: {why}.") from error
        if not answer.is_success:
            raise error_of(answer.status_code, answer.content, run_id)
        return answer

    def _decoded(self, decoder: msgspec.json.Decoder[Any], answer: httpx.Response) -> Any:
        try:
            return decoder.decode(answer.content)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise Unavailable(f"{self._client.base_url} does not answer like a ledger: {error}.") from error
