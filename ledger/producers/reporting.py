"""What every ledger offers to producers with an event loop, near or far: ``ledger.run(…)``."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, cast

from ..events import Stage
from .options import DEFAULT_LEASE
from .run import Run, run
from .sink import Sink
from .watch import Watch

__all__ = ("Reporting",)


class Reporting:
    """A sink whose producers are watched over by ``_watch``."""

    owner: str
    _watch: Watch

    def run(
        self,
        kind: str,
        *,
        run_id: str | None = None,
        scope: str | None = None,
        title: str | None = None,
        total: int | None = None,
        unit: str | None = None,
        stages: Sequence[str | Stage | Mapping[str, Any]] = (),
        labels: Mapping[str, str] | None = None,
        slot: str | None = None,
        owner: str | None = None,
        lease_seconds: float | None = DEFAULT_LEASE,
        stall_seconds: float | None = None,
        parent: str | None = None,
        retry_of: str | None = None,
        attach: bool = False,
        queued: bool = False,
        strict: bool = False,
        raise_on_cancel: bool = False,
        interval: float = 0.25,
        patience: float = 5.0,
    ) -> AbstractAsyncContextManager[Run]:
        """Report a job: ``async with ledger.run("backup", total=9) as run``.

        Entering creates the run, durably; leaving ends it: ``completed``, on an exception ``failed`` (the
        exception goes on), on cancellation ``cancelled``. With ``attach`` it joins the active run
        ``run_id`` and ends nothing. :class:`~.run.RunOptions` says what the last options do. While it is
        open the producer gives a sign of life every third of ``lease_seconds`` (None: no lease).

        Entering raises SlotTaken, RunExists, InvalidRun and TooLarge, RunNotFound and RunEnded with
        ``attach``. A ledger that cannot be written fails no job: what is said is kept and goes out later.
        With ``strict`` every fault raises.
        """
        return run(
            cast("Sink", self),
            self._watch,
            kind,
            run_id=run_id,
            scope=scope,
            title=title,
            total=total,
            unit=unit,
            stages=stages,
            labels=labels,
            slot=slot,
            owner=owner or self.owner,
            lease_seconds=lease_seconds,
            stall_seconds=stall_seconds,
            parent=parent,
            retry_of=retry_of,
            attach=attach,
            queued=queued,
            strict=strict,
            raise_on_cancel=raise_on_cancel,
            interval=interval,
            patience=patience,
        )
