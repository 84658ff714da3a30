"""A run's history played once more: the same events, at their own times, through the same fold.

What plays is a ledger in memory whose clock stands where the recorded run was. Every view of it (terminal,
page, stream) is therefore the view of then.
"""

from collections.abc import Awaitable, Callable, Sequence

import anyio
import msgspec

from progress_ledger.ledger.door import parse_event
from progress_ledger.ledger.errors import LedgerError
from progress_ledger.ledger.ledger import Ledger
from progress_ledger.ledger.log import Append
from progress_ledger.ledger.times import parse_time

__all__ = ("PlayedEvent", "Playback", "VirtualClock", "parse_events")


class PlayedEvent(msgspec.Struct):
    """An event as exported; ``data`` as it was stored."""

    position: int
    run_id: str
    version: int
    time: str
    type: str
    data: msgspec.Raw
    event_id: str | None = None


_decode = msgspec.json.Decoder(PlayedEvent).decode


def parse_events(lines: Sequence[bytes]) -> list[PlayedEvent]:
    """Lines of an export. Raises msgspec.DecodeError."""
    return [_decode(line) for line in lines]


class VirtualClock:
    """A clock that runs ``speed`` times as fast from wherever it was set, and never past its ``limit``."""

    def __init__(self, start: float, *, speed: float, real: Callable[[], float]) -> None:
        self._real = real
        self._speed = speed
        self._set = start
        self._since = real()
        self.limit = start

    def __call__(self) -> float:
        return min(self.limit, self._set + (self._real() - self._since) * self._speed)

    def move(self, seconds: float) -> None:
        """Stand at ``seconds`` now."""
        self._set, self._since = seconds, self._real()
        self.limit = max(self.limit, seconds)

    def until(self, seconds: float) -> float:
        """Real seconds until the clock stands there, when its limit allows it."""
        return max(0.0, (seconds - self()) / self._speed)


class Playback:
    """Plays ``events`` into ``ledger``, whose clock is ``clock``."""

    def __init__(self, ledger: Ledger, clock: VirtualClock, events: Sequence[PlayedEvent]) -> None:
        self._ledger = ledger
        self._clock = clock
        self._events = events
        self.skipped = 0

    async def play(
        self,
        *,
        silent: int = 0,
        shown: Callable[[PlayedEvent], Awaitable[None]],
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        """Append the events, each when its time has come; the first ``silent`` ones at once. ``shown`` is
        called after each of the others. What a newer release wrote is skipped and counted."""
        for index, event in enumerate(self._events):
            moment = parse_time(event.time)
            if index >= silent:
                self._clock.limit = moment
                await sleep(self._clock.until(moment))
            self._clock.move(moment)
            await self._append(event)
            if index >= silent:
                await shown(event)

    async def _append(self, event: PlayedEvent) -> None:
        try:
            draft = parse_event(event.type, _without_attempt(event), event.event_id)
        except LedgerError:
            self.skipped += 1
            return
        await self._ledger.append_many([Append(run_id=event.run_id, drafts=[draft])])


def _without_attempt(event: PlayedEvent) -> bytes:
    # The attempt is stamped by the ledger and refused at its door; it is stamped again on the way in.
    data = bytes(event.data)
    if event.version == 1 and b'"attempt"' in data:
        fields = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
        fields.pop("attempt", None)
        return msgspec.json.encode(fields)
    return data
