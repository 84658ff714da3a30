"""Calls webhooks, each notice at least once and in order, over failures and restarts.

How far a webhook was told is kept in the ledger's own file: after a restart it goes on there. A receiver that
is away holds up its own notices only. One task and one connection a webhook, one page of events in memory.
"""

import asyncio
import http.client
import logging
import random
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from urllib.parse import urlsplit

import anyio
import msgspec
from msgspec import Struct

from progress_ledger.ledger.codec import ascii_json, wire_form
from progress_ledger.ledger.errors import LedgerError
from progress_ledger.ledger.ledger import Ledger
from progress_ledger.ledger.log import Document
from progress_ledger.ledger.times import format_time
from progress_ledger.projections.projector import Projector

from .webhook import (
    GIVE_UP_AFTER,
    Notice,
    Webhook,
    fits_webhook,
    notice_of,
    retry_delay,
    signed_headers,
    stall_notices,
)

__all__ = ("SPACE", "Post", "keep_telling", "post")

SPACE = "webhooks"
"""Where the places are kept, by :attr:`Webhook.name`."""

_logger = logging.getLogger("progress_ledger.api")

_PAGE = 500
_CALL_SECONDS = 10.0
_STEP_SECONDS = 1.0
_MOST_STALLED = 10_000
_GONE = 410

Post = Callable[[str, bytes, dict[str, str]], int]
"""Sends a body to a URL, blocking, and returns the status. Raises OSError or HTTPException."""


class _Place(Struct):
    position: int
    stalled: list[str] = []


class _Told(Struct):
    run_id: str
    type: str


_place = msgspec.json.Decoder(_Place)
_event = msgspec.json.Decoder(_Told)


def post(url: str, body: bytes, headers: dict[str, str]) -> int:
    """The status of one call, within ten seconds for each step. Redirects are not followed."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port
    connection = (
        http.client.HTTPSConnection(host, port, timeout=_CALL_SECONDS, context=ssl.create_default_context())
        if parts.scheme == "https"
        else http.client.HTTPConnection(host, port, timeout=_CALL_SECONDS)
    )
    try:
        target = f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"
        connection.request("POST", target, body, headers)
        return connection.getresponse().status
    finally:
        connection.close()


async def keep_telling(
    ledger: Ledger,
    projector: Projector,
    webhook: Webhook,
    *,
    call: Post = post,
) -> None:
    """Tell the webhook of what comes from now on, or from where it was told before, until cancelled."""
    teller = _Teller(ledger, projector, webhook, call)
    complained = ""
    while True:
        try:
            await teller.step()
            complained = ""
        except LedgerError as error:
            if str(error) != complained:
                complained = str(error)
                _logger.error("webhook %s waits for the log: %s", teller.host, error)
        await anyio.sleep(_STEP_SECONDS)


class _Teller:
    def __init__(self, ledger: Ledger, projector: Projector, webhook: Webhook, call: Post) -> None:
        self._ledger = ledger
        self._projector = projector
        self._webhook = webhook
        self._call = call
        self._at: _Place | None = None
        # The host alone goes into the log: paths and queries of webhooks are secrets too.
        self.host = urlsplit(webhook.url).hostname or ""

    async def step(self) -> None:
        """Tell everything that there is to tell now."""
        place = self._at = self._at or await self._begin()
        head = await self._projector.caught_up()
        while place.position < head:
            await self._page(place)
        await self._stalls(place)

    async def _begin(self) -> _Place:
        kept = await self._ledger.log.load_documents(SPACE, (self._webhook.name,))
        if kept:
            return _place.decode(kept[0].value)
        place = _Place(await self._ledger.log.head())
        await self._save(place)
        return place

    async def _page(self, place: _Place) -> None:
        page = await self._ledger.log.read(place.position, limit=_PAGE)
        told = [(position, body, _event.decode(body)) for position, body in page if body is not None]
        wanted = [(position, body, event) for position, body, event in told if notice_of(event.type)]
        heads = await self._ledger.log.runs_by_id({event.run_id for _, _, event in wanted})
        for position, body, event in wanted:
            notice, head = notice_of(event.type), heads.get(event.run_id)
            if notice is None or head is None or not fits_webhook(self._webhook, notice, head.kind):
                continue
            await self._tell(f"{position}", notice, event.run_id, wire_form(position, body))
            place.position = position
            await self._save(place)
        if page:
            place.position = page[-1][0]
            await self._save(place)

    async def _stalls(self, place: _Place) -> None:
        active = {state.run_id: state for state in self._projector.active()}
        stalled = [run_id for run_id in self._projector.stalled() if run_id in active][:_MOST_STALLED]
        for run_id, notice in stall_notices(place.stalled, stalled, active):
            state = active[run_id]
            if fits_webhook(self._webhook, notice, state.kind):
                await self._tell(f"{state.position}-{notice}", notice, run_id, None)
            if notice == "stalled":
                place.stalled.append(run_id)
            else:
                place.stalled.remove(run_id)
            await self._save(place)
        if any(run_id not in active for run_id in place.stalled):
            place.stalled = [run_id for run_id in place.stalled if run_id in active]
            await self._save(place)

    async def _tell(self, mark: str, notice: Notice, run_id: str, event: bytes | None) -> None:
        message_id = f"{self._ledger.epoch}-{mark}"
        began = anyio.current_time()
        attempt = 0
        while True:
            if await self._called(message_id, notice, run_id, event):
                return
            attempt += 1
            if attempt == 1:
                _logger.warning("webhook %s refused %s, it is tried again", self.host, message_id)
            if anyio.current_time() - began > GIVE_UP_AFTER:
                _logger.error("webhook %s was never told %s of run %s", self.host, notice, run_id)
                return
            await anyio.sleep(retry_delay(attempt, random.random()))

    async def _called(self, message_id: str, notice: Notice, run_id: str, event: bytes | None) -> bool:
        run = await self._projector.snapshot(run_id)
        now = self._ledger.clock()
        told = {"run_id": run_id, "run": run, "event": None if event is None else msgspec.Raw(event)}
        body = ascii_json({"type": f"run.{notice}", "timestamp": format_time(now), "data": told})
        headers = signed_headers(self._webhook.secret, message_id, int(now), body)
        headers |= {"content-type": "application/json", "user-agent": "progress-ledger"}
        status = 0
        with suppress(OSError, http.client.HTTPException):
            status = await _beside(partial(self._call, self._webhook.url, body, headers))
        if status == _GONE:
            _logger.error("webhook %s is gone (410); %s was not told", self.host, message_id)
        return 200 <= status < 300 or status == _GONE

    async def _save(self, place: _Place) -> None:
        document = Document(self._webhook.name, place.position, msgspec.json.encode(place))
        await self._ledger.log.save_documents(SPACE, (document,))


async def _beside(call: Callable[[], int]) -> int:
    # On a daemon's thread: a receiver that hangs must not keep alive a server that stops.
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[int] = loop.create_future()

    def settle(status: int, error: Exception | None) -> None:
        if answer.done():
            return
        if error is None:
            answer.set_result(status)
        else:
            answer.set_exception(error)

    def work() -> None:
        status, failed = 0, None
        try:
            status = call()
        except Exception as error:
            failed = error
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, status, failed)

    threading.Thread(target=work, name="webhook", daemon=True).start()
    return await answer
