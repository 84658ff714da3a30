"""The one sign that the server is stopping. What would go on for long waits for it beside its own work."""

import asyncio

__all__ = ("Drain",)


class Drain:
    """Begun once, never taken back. Streams end themselves when it begins, as cleanly as they can."""

    def __init__(self) -> None:
        self._begun = asyncio.Event()

    @property
    def begun(self) -> bool:
        """Whether the server is stopping."""
        return self._begun.is_set()

    def begin(self) -> None:
        """Tell everybody, at once. Calling it again changes nothing."""
        self._begun.set()

    async def wait(self) -> None:
        """Return when the server is stopping; at once when it already is."""
        await self._begun.wait()
