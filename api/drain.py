"""The one sign that the server is stopping. What would go on for long waits for it beside its own work."""

import asyncio
from collections.abc import Callable

__all__ = ("Drain",)


class Drain:
    """Begun once, never taken back. Streams end themselves when it begins, as cleanly as they can."""

    def __init__(self) -> None:
        self._begun = asyncio.Event()
        self._listeners: list[Callable[[], None]] = []

    @property
    def begun(self) -> bool:
        """Whether the server is stopping."""
        return self._begun.is_set()

    def begin(self) -> None:
        """Tell everybody, at once. Calling it again changes nothing."""
        if not self._begun.is_set():
            self._begun.set()
            for listener in self._listeners:
                listener()

    def listen(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` when the drain begins, or at once when it has. It neither awaits nor raises."""
        if self._begun.is_set():
            listener()
        else:
            self._listeners.append(listener)

    async def wait(self) -> None:
        """Return when the server is stopping; at once when it already is."""
        await self._begun.wait()
