"""The pace of a run or a stage."""

__all__ = ("mean_rate",)


def mean_rate(done: int, seconds: float) -> float | None:
    """Units per second over all of ``seconds``; None until work and time are both more than nothing."""
    if done <= 0 or seconds <= 0.0:
        return None
    return done / seconds
