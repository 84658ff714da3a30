"""A lease counts only time in which the producer could have been heard."""

from __future__ import annotations

import os

import msgspec
import pytest

from progress_ledger.ledger.liveness.lease import Expired, LeaseBook, Moment, dead_runs
from progress_ledger.ledger.liveness.owner import owner_of
from progress_ledger.ledger.log import RunHead

HEAD = RunHead(
    number=1,
    run_id="r",
    kind="k",
    scope=None,
    title=None,
    parent=None,
    owner="me#0123.4.5.6",
    slot=None,
    lease_seconds=90.0,
    attempt=1,
    labels={},
    status="running",
    version=3,
    first=1,
    last=9,
    time="2026-01-01T00:00:00.000000Z",
)


class Clocks:
    """Three clocks that run together until a test says otherwise."""

    def __init__(self) -> None:
        self.at = Moment(1_000.0, 5_000.0, 1_700_000_000.0)

    def run(self, seconds: float) -> Moment:
        self.at = Moment(*(clock + seconds for clock in self.at))
        return self.at

    def sleep(self, seconds: float) -> Moment:
        self.at = Moment(self.at.monotonic, self.at.boot + seconds, self.at.wall + seconds)
        return self.at

    def set(self, seconds: float) -> Moment:
        self.at = self.at._replace(wall=self.at.wall + seconds)
        return self.at


def look_for(book: LeaseBook, clocks: Clocks, seconds: int, head: RunHead = HEAD) -> list[Expired]:
    """Look once a second for so long; what was found."""
    found: list[Expired] = []
    for _ in range(seconds):
        found += book.look([head], clocks.run(1.0))
        if found:
            break
    return found


def test_a_run_that_stands_still_for_its_lease_is_expired() -> None:
    book, clocks = LeaseBook(every=1.0), Clocks()
    assert look_for(book, clocks, 90) == []
    assert look_for(book, clocks, 1) == [Expired("r", 3, "no sign of me for 90 s")]


def test_however_old_its_last_event_a_start_gives_a_full_lease() -> None:
    old = msgspec.structs.replace(HEAD, time="1999-01-01T00:00:00.000000Z")
    assert look_for(LeaseBook(every=1.0), Clocks(), 90, old) == []


def test_any_event_gives_a_full_lease() -> None:
    book, clocks = LeaseBook(every=1.0), Clocks()
    assert look_for(book, clocks, 89) == []
    assert look_for(book, clocks, 90, msgspec.structs.replace(HEAD, version=4)) == []


@pytest.mark.parametrize("disturb", ["sleep", "forward", "back", "stall"])
def test_a_sleep_a_jump_or_a_stall_gives_a_full_lease(disturb: str) -> None:
    book, clocks = LeaseBook(every=1.0), Clocks()
    assert look_for(book, clocks, 80) == []
    if disturb == "sleep":
        clocks.sleep(3_600)
    elif disturb == "forward":
        clocks.set(3_600)
    elif disturb == "back":
        clocks.set(-3_600)
    else:
        clocks.run(300)  # the one who looks was stopped, and the clocks were not
    assert look_for(book, clocks, 90) == []
    assert len(look_for(book, clocks, 2)) == 1


def test_a_run_without_lease_never_expires() -> None:
    assert (
        look_for(LeaseBook(every=1.0), Clocks(), 500, msgspec.structs.replace(HEAD, lease_seconds=None)) == []
    )


def test_ended_runs_and_runs_that_are_gone_are_forgotten() -> None:
    book, clocks = LeaseBook(every=1.0), Clocks()
    assert look_for(book, clocks, 80) == []
    book.look([], clocks.run(1.0))
    assert look_for(book, clocks, 90) == []
    assert look_for(book, clocks, 9, msgspec.structs.replace(HEAD, status="completed")) == []


def test_only_runs_of_a_dead_process_of_this_owner_are_dead() -> None:
    living = owner_of("me")
    name, _, incarnation = living.rpartition("#")
    boot, namespace, pid, started = incarnation.split(".")
    assert int(pid) == os.getpid()
    dead = f"{name}#{boot}.{namespace}.{pid}.{int(started) - 1}"
    heads = [
        msgspec.structs.replace(HEAD, run_id=run_id, owner=owner, status=status)
        for run_id, owner, status in [
            ("living", living, "running"),
            ("dead", dead, "running"),
            ("waiting", dead, "queued"),
            ("over", dead, "completed"),
            ("other", dead.replace("me#", "you#"), "running"),
            ("named", "me", "running"),
            ("nobody", None, "running"),
        ]
    ]
    found = dead_runs(heads, "me")
    assert [each.run_id for each in found] == ["dead", "waiting"]
    assert found[0].reason == f"me (process {pid}) ended without ending this run"
