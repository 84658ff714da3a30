"""A part folds the kinds it was told to fold, and says so in pieces that do not grow with the log."""

from __future__ import annotations

import io
from pathlib import Path

import msgspec
import pytest

from progress_ledger.ledger.errors import Unavailable
from progress_ledger.ledger.events import Completed, RunSpec, Ticked
from progress_ledger.ledger.ledger import Ledger
from progress_ledger.projections import part
from progress_ledger.projections.part import Folded, Order, fold, main, read_folded
from progress_ledger.projections.store import state_of

pytestmark = pytest.mark.anyio


async def write(path: Path) -> int:
    async with Ledger.open(path, durability="process") as ledger:
        for number in range(9):
            run_id = f"r{number}"
            await ledger.create(RunSpec(kind=f"k{number % 3}", total=2), run_id=run_id)
            await ledger.append(run_id, [Ticked(done=1)])
            if number < 7:
                await ledger.append(run_id, [Completed()])
        return await ledger.log.head()


async def test_only_the_kinds_of_the_order_are_folded_up_to_its_position(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = await write(tmp_path / "a.db")
    monkeypatch.setattr(part, "_SLICE", 5)
    told: list[Folded] = []
    fold(Order(str(tmp_path / "a.db"), head, ["k0", "k2"], {}), told.append)
    (last,) = told
    assert last.whole
    assert sorted(document.key for document in last.ended) == ["r0", "r2", "r3", "r5", "r6"]
    assert [document.key for document in last.active] == ["r8"]
    assert sorted(document.key for document in last.histories) == ["k0", "k2"]
    state = state_of(last.active[0])
    assert state is not None
    assert (state.done, state.position) == (1, head)
    told.clear()
    fold(Order(str(tmp_path / "a.db"), 2, ["k0"], {}), told.append)
    assert [document.key for document in told[0].active] == ["r0"]


async def test_ended_runs_leave_in_pieces_and_none_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = await write(tmp_path / "a.db")
    monkeypatch.setattr(part, "_UNKEPT", 2)
    monkeypatch.setattr(part, "SCAN_PAGE", 3)
    out = io.BytesIO()
    order = Order(str(tmp_path / "a.db"), head, ["k0", "k1", "k2"], {})
    main(io.BytesIO(msgspec.msgpack.encode(order)), out)
    out.seek(0)
    told: list[Folded] = []
    while size := out.read(4):
        told.append(read_folded(out.read(int.from_bytes(size, "big"))))
    assert [one.whole for one in told] == [False] * (len(told) - 1) + [True]
    assert len(told) == 4
    ended = [document.key for one in told for document in one.ended]
    assert sorted(ended) == [f"r{number}" for number in range(7)]
    assert sorted(document.key for document in told[-1].active) == ["r7", "r8"]


async def test_an_order_that_cannot_be_read_or_done_says_nothing(tmp_path: Path) -> None:
    out = io.BytesIO()
    with pytest.raises(msgspec.MsgspecError):
        main(io.BytesIO(b"{}"), out)
    order = Order(str(tmp_path / "none.db"), 10, ["k"], {})
    with pytest.raises(Unavailable):
        main(io.BytesIO(msgspec.msgpack.encode(order)), out)
    assert out.getvalue() == b""
