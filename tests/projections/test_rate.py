"""The plain mean."""

from __future__ import annotations

import pytest

from progress_ledger.projections.rate import mean_rate


def test_a_rate_is_work_over_time() -> None:
    assert mean_rate(30, 12.0) == 2.5


@pytest.mark.parametrize(("done", "seconds"), [(0, 10.0), (5, 0.0), (5, -1.0), (0, 0.0)])
def test_a_rate_is_unknown_without_work_or_time(done: int, seconds: float) -> None:
    assert mean_rate(done, seconds) is None
