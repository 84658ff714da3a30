"""Turns facts into answers: pure folds, and one projector that feeds them."""

from .projection import Follower
from .projector import Projector, ProjectorStatistics
from .run import apply
from .snapshot import Change, Snapshot, StageView
from .state import RunState, StageState, active_seconds, percent_of
from .view import change, is_stalled, view

__all__ = (
    "Change",
    "Follower",
    "Projector",
    "ProjectorStatistics",
    "RunState",
    "Snapshot",
    "StageState",
    "StageView",
    "active_seconds",
    "apply",
    "change",
    "is_stalled",
    "percent_of",
    "view",
)
