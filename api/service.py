"""What every endpoint works with."""

from typing import NamedTuple

from progress_ledger.ledger.ledger import Ledger
from progress_ledger.projections.projector import Projector

from .drain import Drain

__all__ = ("Service",)


class Service(NamedTuple):
    """An open ledger, the projector that folds it, and the sign that the server is stopping."""

    ledger: Ledger
    projector: Projector
    drain: Drain
