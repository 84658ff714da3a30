"""Every ledger offers a run in the same words."""

from __future__ import annotations

import inspect

from progress_ledger.ledger import Ledger, open_run
from progress_ledger.ledger.producers.open_run import OpenRun
from progress_ledger.ledger.producers.remote import RemoteLedger
from progress_ledger.ledger.producers.reporting import Reporting
from progress_ledger.ledger.producers.run import Run


def test_near_and_far_share_one_way_in() -> None:
    assert issubclass(Ledger, Reporting)
    assert issubclass(RemoteLedger, Reporting)


def test_with_and_without_a_loop_take_the_same_options() -> None:
    near = set(inspect.signature(Ledger.run).parameters) - {"self"}
    assert set(inspect.signature(open_run).parameters) == near | {"ledger", "disabled"}


def test_with_and_without_a_loop_say_the_same_things() -> None:
    public = {name for name in dir(Run) if not name.startswith("_")}
    assert public - {name for name in dir(OpenRun) if not name.startswith("_")} == set()
