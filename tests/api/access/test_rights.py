"""Roles and kinds, as rules."""

from __future__ import annotations

import pytest

from progress_ledger.api.access.rights import EVERYTHING, NOTHING, Access, access_of, put_access
from progress_ledger.api.problems import Refusal
from progress_ledger.ledger.errors import RunNotFound
from progress_ledger.ledger.log import RunFilter


def test_each_role_may_do_what_the_lesser_ones_may() -> None:
    producer = Access(role="producer")
    assert producer.may("reader")
    assert producer.may("producer")
    assert not producer.may("operator")
    assert EVERYTHING.may("operator")
    assert not NOTHING.may("reader")


def test_too_little_of_a_role_is_403_and_no_token_401() -> None:
    with pytest.raises(Refusal) as refused:
        Access(role="reader").require("producer")
    assert (refused.value.status, refused.value.code) == (403, "forbidden")
    with pytest.raises(Refusal) as unknown:
        NOTHING.require("reader")
    assert (unknown.value.status, unknown.value.code) == (401, "unauthorized")


def test_a_kind_outside_of_the_pattern_does_not_exist() -> None:
    held = Access(role="reader", kinds="qa_*")
    assert held.sees("qa_bulk")
    assert not held.sees("backfill")
    with pytest.raises(RunNotFound):
        held.require_kind("backfill", "r")
    with pytest.raises(Refusal) as refused:
        held.require_own("backfill")
    assert refused.value.status == 403
    with pytest.raises(Refusal) as whole:
        held.require_all()
    assert whole.value.status == 404
    Access(role="reader").require_all()


def test_a_filter_is_narrowed_to_the_kinds() -> None:
    where = RunFilter(scope="s")
    assert Access(role="reader").narrowed(where) is where
    assert Access(role="reader", kinds="a?").narrowed(where) == RunFilter(scope="s", kind_pattern="a?")


def test_a_scope_without_an_access_is_one_that_nobody_guards() -> None:
    scope: dict[str, object] = {}
    assert access_of(scope) is EVERYTHING
    put_access(scope, NOTHING)
    assert access_of(scope) is NOTHING
