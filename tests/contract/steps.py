"""What the contract's tests say to an engine, in few words."""

from __future__ import annotations

from collections.abc import Sequence

from progress_ledger.ledger import codec
from progress_ledger.ledger.door import Draft, draft_event, draft_run
from progress_ledger.ledger.errors import LedgerError
from progress_ledger.ledger.events import Event, Payload, RunSpec, Ticked
from progress_ledger.ledger.log import Accepted, Append, EventLog

NOW = 1_795_000_000.0


def draft(payload: Payload, event_id: str | None = None) -> Draft:
    return draft_event(payload, event_id=event_id)


def ticks(*dones: int) -> list[Draft]:
    return [draft(Ticked(done=done)) for done in dones]


def append(run_id: str, *drafts: Draft, expected: int | None = None) -> Append:
    return Append(run_id=run_id, drafts=list(drafts), expected_version=expected)


def creation(run_id: str, spec: RunSpec | None = None, *, queued: bool = False) -> Append:
    return Append(run_id=run_id, drafts=[draft_run(spec or RunSpec(kind="k"), queued=queued)], create=True)


async def outcomes(log: EventLog, *requests: Append, now: float = NOW) -> list[Accepted | LedgerError]:
    return (await log.commit(requests, now=now)).outcomes


async def accepted(log: EventLog, request: Append, *, now: float = NOW) -> Accepted:
    (outcome,) = await outcomes(log, request, now=now)
    if isinstance(outcome, LedgerError):
        raise outcome
    return outcome


async def refused(log: EventLog, request: Append) -> LedgerError:
    """The refusal, after checking that it left nothing behind."""
    before = await contents(log)
    (outcome,) = await outcomes(log, request)
    assert isinstance(outcome, LedgerError), outcome
    assert await contents(log) == before, "a refused request left something"
    return outcome


async def contents(log: EventLog) -> list[tuple[int, bytes | None]]:
    """All of the log."""
    found: list[tuple[int, bytes | None]] = []
    while page := await log.read(found[-1][0] if found else 0, limit=1_000):
        found += [(position, body) for position, body in page]
    return found


async def events(log: EventLog, run_id: str, *, after: int = 0, limit: int = 1_000_000) -> list[Event]:
    found = await log.read_run(run_id, after=after, limit=limit)
    return [codec.decode(body, position) for position, body in found if body is not None]


def bodies(found: Sequence[tuple[int, bytes | None]]) -> list[bytes]:
    return [body for _, body in found if body is not None]
