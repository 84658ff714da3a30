"""Events as frames."""

from __future__ import annotations

import json
import time
from typing import Any

from progress_ledger.api.streams.framing import Mode, encode_event
from progress_ledger.ledger.codec import decode, stored_form
from progress_ledger.ledger.log import Recorded
from progress_ledger.ledger.times import format_time
from progress_ledger.projections import RunState, apply

NOW = format_time(time.time())


def _told(
    state: RunState | None, version: int, kind: str, data: str, mode: Mode = "change"
) -> tuple[RunState, bytes, bool]:
    body = stored_form("r", version, NOW, kind, data, None).encode()
    recorded = Recorded(body, decode(body, version + 100))
    state = apply(state, recorded.event)
    entry = encode_event(recorded, state, epoch="0123456789abcdef", mode=mode)
    assert entry.position == version + 100
    assert entry.run_id == "r"
    return state, entry.frame, entry.final


def _data(frame: bytes) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(frame.split(b"\n")[1].removeprefix(b"data: "))
    return found


def test_a_runs_first_event_shows_all_of_the_run_and_later_ones_what_changed() -> None:
    state, first, _ = _told(None, 1, "started", '{"kind":"k","total":9,"title":"T"}')
    assert _data(first)["run"]["title"] == "T"
    assert _data(first)["run"]["labels"] == {}
    _, second, final = _told(state, 2, "ticked", '{"done":3}')
    assert "title" not in _data(second)["run"]
    assert _data(second)["run"]["done"] == 3
    assert not final
    assert "final" not in _data(second)


def test_full_shows_all_of_the_run_each_time() -> None:
    state, first, _ = _told(None, 1, "started", '{"kind":"k"}', "full")
    _, second, _ = _told(state, 2, "ticked", '{"done":3}', "full")
    assert _data(first)["run"].keys() == _data(second)["run"].keys()


def test_a_terminal_frame_says_that_it_is_the_last() -> None:
    state, _, _ = _told(None, 1, "started", '{"kind":"k"}')
    _, frame, final = _told(state, 2, "completed", "{}")
    assert final
    assert _data(frame)["final"] is True
    assert frame.endswith(b"\nid: 0123456789abcdef-102\n\n")


def test_a_type_of_a_newer_release_goes_through_under_its_name_and_cannot_break_a_frame() -> None:
    state, _, _ = _told(None, 1, "started", '{"kind":"k"}')
    _, frame, _ = _told(state, 2, "rebalanced", '{"x":1}')
    assert frame.startswith(b"event: rebalanced\n")
    assert _data(frame)["event"]["data"] == {"x": 1}
    _, odd, _ = _told(state, 3, "a\\nid: 1", "{}")
    assert odd.startswith(b"event: event\n")
    assert odd.count(b"\n") == 4
