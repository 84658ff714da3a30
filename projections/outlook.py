"""What the estimators are told of a run's state: the one place where the two meet."""

from collections.abc import Sequence

from progress_ledger.ledger.times import seconds_between

from .curve import SAID_AT, Said
from .estimate import Estimate, estimate
from .ground import Ground, Plan
from .stall import Limit, is_cut, limit
from .state import RunState, share_of

__all__ = ("allowed_silence", "end_silence", "foretell", "remaining", "weigh")

_WHOLE = (Plan("", 1.0),)


def weigh(state: RunState) -> list[float]:
    """Each stage's share of the run, adding up to 1: from history, else as declared, else equal.

    A stage without a weight among others that have one counts like the mean of those above 0.
    """
    stages = state.stages
    if not stages:
        return []
    if state.prior is not None:
        known = state.prior.weights([stage.name for stage in stages])
        if known is not None:
            return known
    declared = [stage.weight for stage in stages if stage.weight]
    usual = sum(declared) / len(declared) if declared else 1.0
    weights = [usual if stage.weight is None else stage.weight for stage in stages]
    whole = sum(weights)
    if whole <= 0.0:
        return [1.0 / len(weights)] * len(weights)
    return [weight / whole for weight in weights]


def remaining(state: RunState, active: float, *, explain: bool = False) -> Estimate:
    """The time left after ``active`` seconds of work, cut silences still in them; why, with ``explain``."""
    ground = state.ground
    if ground is None:
        ground = _ground(state)
        state.keep_ground(ground)
    return estimate(ground, state.course, state.done, active - state.course.cut, explain=explain)


def _ground(state: RunState) -> Ground:
    plan: Sequence[Plan] = _WHOLE
    if state.stages:
        parts = zip(state.stages, state.weights, strict=True)
        plan = [Plan(part.name, weight, part.total) for part, weight in parts]
    return Ground(
        state.course,
        state.prior,
        plan=plan,
        total=state.total,
        declared=any(part.weight is not None for part in state.stages),
    )


def foretell(state: RunState, active: float) -> None:
    """Enter the place just reached into the run's course, and keep what is predicted at certain shares."""
    course = state.course
    at = max(0.0, active - course.cut)
    course.mark(state.done, state.total, at)
    said = course.said
    if said and said[-1].share >= SAID_AT[-1]:
        return
    share = share_of(state)
    if share is None or 100.0 * share < state.floor:
        share = state.floor / 100.0
    due = course.due(share)
    if due is None:
        return
    found = remaining(state, active)
    if found.seconds is not None:
        runs = state.prior.runs if state.prior is not None and found.basis not in ("mean", "declared") else 0
        said.append(Said(due, at, found.seconds, found.low, found.high, runs))


def end_silence(state: RunState, share: float | None, seconds: float) -> None:
    """A silence of a minute or more is over: a stall is cut out of the course, another is remembered."""
    prior = state.prior
    gaps, typical = ((), None) if prior is None else (prior.gaps, prior.seconds)
    if is_cut(seconds, state.stall_seconds, gaps, typical):
        state.course.cut += seconds
    else:
        state.course.silence(share, seconds)


def allowed_silence(state: RunState, share: float | None) -> Limit:
    """How long the run may be silent where it is."""
    usual = None
    if state.ticks > 1 and state.started_at is not None and state.silent_since is not None:
        worked = seconds_between(state.started_at, state.silent_since) - state.paused_seconds
        usual = max(0.0, worked) / state.ticks
    gaps = state.prior.gaps if state.prior is not None else ()
    return limit(state.stall_seconds, usual, gaps, share)
