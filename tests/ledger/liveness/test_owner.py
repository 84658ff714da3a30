"""A name and an incarnation: one process and no other."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from progress_ledger.ledger.liveness.owner import Incarnation, default_name, is_dead, owner_of, parse_owner


def test_this_process_is_not_dead_and_reads_back() -> None:
    owner = parse_owner(owner_of("worker#7"))
    assert owner.name == "worker#7"
    assert owner.incarnation is not None
    assert owner.incarnation.pid == os.getpid()
    assert not is_dead(owner.incarnation)


def test_without_a_name_it_is_the_machine() -> None:
    assert parse_owner(owner_of()).name == default_name()


@pytest.mark.parametrize("text", [None, "", "alice", "team#blue", "a#b.c.d.e"])
def test_what_is_no_incarnation_is_a_name(text: str | None) -> None:
    assert parse_owner(text) == (text or "", None)


def test_a_process_that_ended_is_dead_and_a_living_one_is_not() -> None:
    code = "from progress_ledger.ledger.liveness.owner import *; print(owner_of('x'), flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        incarnation = parse_owner(other.stdout.readline().strip()).incarnation
        assert incarnation is not None
        assert not is_dead(incarnation)
        other.kill()
        other.wait()
        assert is_dead(incarnation)


def test_a_later_process_with_the_same_number_is_another() -> None:
    own = parse_owner(owner_of()).incarnation
    assert own is not None
    assert is_dead(own._replace(started=own.started - 1))


@pytest.mark.parametrize("field", ["boot", "namespace"])
def test_what_cannot_be_known_from_here_is_not_called_dead(field: str) -> None:
    own = parse_owner(owner_of()).incarnation
    assert own is not None
    gone = own._replace(pid=999_999_999)
    assert is_dead(gone)
    elsewhere = gone._replace(boot="x") if field == "boot" else gone._replace(namespace="x")
    assert not is_dead(elsewhere)
    assert isinstance(own, Incarnation)
