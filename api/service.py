"""What every endpoint works with."""

from typing import NamedTuple

from progress_ledger.ledger.ledger import Ledger
from progress_ledger.projections.projector import Projector

from .drain import Drain
from .tokens import TokenFile

__all__ = ("Service",)


class Service(NamedTuple):
    """An open ledger, the projector that folds it, the sign that the server is stopping, and who may come in.

    ``tokens`` is None where everybody who reaches the application may do everything.
    """

    ledger: Ledger
    projector: Projector
    drain: Drain
    tokens: TokenFile | None = None
