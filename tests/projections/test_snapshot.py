"""The shape of a snapshot, as clients in other languages know it."""

from __future__ import annotations

from progress_ledger.ledger.events import Completed, Heartbeat, Stage, StageChanged, Ticked
from progress_ledger.projections import Change, Snapshot, change
from tests.projections.stories import Story, data_of, started

FIELDS = """
run_id kind scope title status labels slot owner parent retry_of unit stage stages done total percent
over_total counts message error result rate eta_seconds eta_low eta_high eta_basis finish_at elapsed_seconds
active_seconds queued_at started_at updated_at last_progress_at finished_at stalled stalled_seconds
stalled_because cancel_requested cancel_requested_at attempt version position
"""

STAGE_FIELDS = "name status done total unit percent weight started_at finished_at"

UNKNOWN_AT_FIRST = """
scope title slot owner parent retry_of unit stage total percent message error result rate eta_seconds eta_low
eta_high eta_basis finish_at queued_at finished_at stalled_because cancel_requested_at
"""

ALWAYS = """
version position status percent rate eta_seconds eta_low eta_high eta_basis finish_at elapsed_seconds
active_seconds stalled stalled_seconds stalled_because updated_at last_progress_at
"""


def names(text: str) -> list[str]:
    return text.split()


def test_a_snapshot_has_these_fields_and_all_of_them_always() -> None:
    bare = data_of(started().seen())
    full = data_of(started(Stage(name="a", total=4)).add(1, StageChanged(stage="a"), Ticked(done=2)).seen(9))
    assert list(bare) == list(full) == names(FIELDS)
    assert list(full["stages"][0]) == names(STAGE_FIELDS)  # type: ignore[index]


def test_unknown_is_null_and_nothing_is_left_out() -> None:
    bare = data_of(started().seen())
    unknown = {name for name, value in bare.items() if value is None}
    assert unknown == set(names(UNKNOWN_AT_FIRST))


def last_change(story: Story) -> dict[str, object]:
    return data_of(change(story.state(), story.events[-1]))


def test_a_change_always_says_what_ages_and_else_only_what_changed() -> None:
    assert set(last_change(started(total=3).add(1, Heartbeat()))) == set(names(ALWAYS))
    ticked = set(last_change(started(total=3).add(1, Ticked(done=1))))
    assert ticked == set(names(ALWAYS)) | {"done", "total", "over_total", "message"}
    assert {"finished_at", "result", "error"} <= set(last_change(started().add(1, Completed())))


def test_a_change_has_no_field_that_a_snapshot_has_not() -> None:
    assert set(Change.__struct_fields__) < set(Snapshot.__struct_fields__)


def test_a_first_event_changes_everything() -> None:
    assert list(last_change(started(total=3))) == names(FIELDS)
