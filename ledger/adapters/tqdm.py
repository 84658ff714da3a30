"""tqdm with a ledger: change the import, and every bar is a run as well.

::

    from progress_ledger.ledger.adapters.tqdm import tqdm

Needs the package ``tqdm``, which this project does not bring.
"""

from collections.abc import Iterable
from typing import Any

from tqdm.std import tqdm as _tqdm

from ..producers.ending import LEFT_EARLY
from ..producers.open_run import OpenRun, open_run

__all__ = ("tqdm", "trange")


class tqdm(_tqdm):  # type: ignore[misc]  # the base is untyped
    """A bar that is a run of kind ``kind`` (the bar's ``desc``, else ``tqdm``).

    ``run`` holds further options of :func:`.open_run`. Closed before its total is reached, the
    run is ``interrupted``. What the bar does on the screen is tqdm's own.
    """

    def __init__(
        self,
        iterable: Iterable[Any] | None = None,
        *args: Any,
        kind: str | None = None,
        run: dict[str, Any] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(iterable, *args, **options)  # pyright: ignore[reportUnknownMemberType] - tqdm has no types
        self._run: OpenRun | None = None
        if not self.disable:
            unit = None if self.unit == "it" else self.unit
            total = None if self.total is None else int(self.total)
            name = kind or (self.desc or "").rstrip(": ") or "tqdm"
            described: dict[str, Any] = {"total": total, "unit": unit, **(run or {})}
            self._run = open_run(name[:128], **described)

    def display(self, *args: Any, **options: Any) -> Any:
        """Draw the bar, and say where it is."""
        self._say()
        return super().display(*args, **options)

    def close(self) -> None:
        """Close the bar, and end its run."""
        run, self._run = getattr(self, "_run", None), None
        super().close()
        if run is None:
            return
        run.set(int(self.n))
        if self.total is not None and self.n < self.total:
            run.interrupt(LEFT_EARLY)
        run.close()

    def _say(self) -> None:
        run = getattr(self, "_run", None)
        if run is not None:
            run.set(int(self.n), None if self.total is None else int(self.total))


def trange(*args: int, **options: Any) -> tqdm:
    """``tqdm(range(…))``."""
    return tqdm(range(*args), **options)
