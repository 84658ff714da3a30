"""The refusals: one tree, stable codes, a sentence each, data that is ready for JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from progress_ledger.ledger import errors
from progress_ledger.ledger.errors import LedgerError, SlotHolder
from tests import tree

HOLDER = SlotHolder(run_id="h", kind="k", status="running", owner=None)
SAMPLES: list[LedgerError] = [
    errors.RunNotFound("r"),
    errors.RunNotFound("r", "ticked"),
    errors.RunExists("r"),
    errors.RunExists("r", pruned=True),
    errors.RunEnded("r", "failed"),
    errors.VersionConflict("r", 1, 2),
    errors.EventIdConflict("r", "e"),
    errors.InvalidTransition("r", "paused", "ticked"),
    errors.SlotTaken("s", HOLDER),
    errors.Pruned("r"),
    errors.Pruned("r", "/archive"),
    errors.Closed(),
    errors.InvalidEvent("data.done: no.", field="data.done"),
    errors.InvalidRun("kind: no."),
]


def _tree(root: type[LedgerError]) -> Iterator[type[LedgerError]]:
    for child in root.__subclasses__():
        if child.__module__ == errors.__name__:
            yield child
            yield from _tree(child)


def _named() -> list[type[LedgerError]]:
    return [each for each in _tree(LedgerError) if not each.__name__.startswith("_")]


def test_every_error_is_exported_and_has_a_code_of_its_own() -> None:
    codes = [each.code for each in _named()]
    assert len(set(codes)) == len(codes)
    assert {each.__name__ for each in _named()} <= set(errors.__all__)


def test_the_docstring_draws_the_tree_as_it_is() -> None:
    drawn = re.findall(r"[├└]── (\w+) +(\w+) ", errors.__doc__ or "")
    assert dict(drawn) == {each.__name__: each.code for each in _named()}


@pytest.mark.parametrize("error", SAMPLES, ids=lambda error: error.code)
def test_an_error_is_one_sentence_with_data_that_json_takes(error: LedgerError) -> None:
    text = str(error)
    assert text.endswith(".")
    assert "\n" not in text
    fields = json.loads(json.dumps(error.fields()))
    problem = errors.problem(error)
    assert problem == {"code": error.code, "detail": text, **fields}


@pytest.mark.parametrize("error", SAMPLES, ids=lambda error: error.code)
def test_what_an_error_is_about_is_an_attribute(error: LedgerError) -> None:
    for name, value in error.fields().items():
        attribute = {"type": "event_type"}.get(name, name)
        if name != "run" or not isinstance(error, errors.SlotTaken):
            assert getattr(error, attribute) == value


def test_two_holders_with_the_same_data_are_equal() -> None:
    assert SlotHolder(run_id="h", kind="k", status="running", owner=None) == HOLDER
    assert SlotHolder(run_id="h", kind="k", status="paused", owner=None) != HOLDER
    assert HOLDER != "h"
    assert len({HOLDER, SlotHolder(run_id="h", kind="k", status="running", owner=None)}) == 1


def test_the_reference_lists_every_error_with_its_code() -> None:
    page = (tree.ROOT / "docs" / "reference" / "events.md").read_text("utf-8")
    listed = dict(re.findall(r"^\| `([A-Z]\w+)` \| `(\w+)` \|", page, re.MULTILINE))
    assert listed == {each.__name__: each.code for each in _named()}
