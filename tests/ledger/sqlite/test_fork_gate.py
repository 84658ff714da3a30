"""A fork waits for calls, calls wait for a fork, and a child has gates of its own."""

from __future__ import annotations

import os
import threading

from progress_ledger.ledger.sqlite.fork_gate import ForkGate


def test_a_call_goes_through() -> None:
    assert ForkGate().through(lambda a, b: a + b, 1, b=2) == 3


def test_a_fork_waits_for_a_call_that_is_inside() -> None:
    gate = ForkGate()
    inside, leave, order = threading.Event(), threading.Event(), list[str]()

    def call() -> None:
        inside.set()
        leave.wait(5)
        order.append("call")

    thread = threading.Thread(target=gate.through, args=(call,))
    thread.start()
    inside.wait(5)
    threading.Timer(0.1, leave.set).start()
    child = os.fork()
    if child == 0:
        os._exit(0 if order == ["call"] else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    thread.join()
    assert gate.through(lambda: "open again") == "open again"


def test_a_child_is_not_kept_by_its_parents_gates() -> None:
    ForkGate()
    child = os.fork()
    if child == 0:
        os._exit(0 if ForkGate().through(lambda: True) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
