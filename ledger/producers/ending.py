"""How a job's way of ending becomes the end of its run."""

import asyncio

from ..errors import RunCancelled
from ..events import Cancelled, Completed, Failed, Interrupted, Payload
from .merge import plain_text

__all__ = ("LEFT_EARLY", "describe", "how_it_ended")

LEFT_EARLY = "left early"
"""Why a run is interrupted whose loop was left before its end."""


def how_it_ended(error: BaseException | None, *, asked: bool = False, reason: str | None = None) -> Payload:
    """The terminal event for a body that ended with ``error``, or without one.

    ``asked``: the job saw a request to cancel, and left for it; ``reason`` is the request's.
    """
    if isinstance(error, RunCancelled) or (error is None and asked):
        return Cancelled(reason=reason or "asked to stop")
    if error is None or (isinstance(error, SystemExit) and error.code in (None, 0)):
        return Completed()
    if isinstance(error, asyncio.CancelledError):
        return Cancelled(reason=reason if asked else None)
    if isinstance(error, KeyboardInterrupt):
        return Cancelled(reason="interrupted from the keyboard")
    if isinstance(error, GeneratorExit):
        return Interrupted(reason=LEFT_EARLY)
    return Failed(error=describe(error))


def describe(error: BaseException) -> str:
    """One line about an exception, cut to 4,000 characters."""
    text = plain_text(error)
    name = type(error).__name__
    return plain_text(f"{name}: {text}" if text else name)
