"""The page says what was reached, what was not, and what did not run."""

from __future__ import annotations

from xml.etree import ElementTree

from benchmarks.__main__ import QUESTIONS as ASKED
from benchmarks.__main__ import QUICK, explanation
from benchmarks.page import Question, page, picture

REPORT = {
    "machine": {"cores": 2, "python": "3.11.7", "versions": {"msgspec": "0.20"}, "events": 20_000},
    "rows": [{"name": "append, 64 tasks", "value": 81234.5, "unit": "events/s"}],
    "bars": [
        {"name": "of the <limit>", "ratio": 0.3, "bar": 0.5, "ok": False},
        {"name": "cost of the fold", "ratio": 0.1, "bar": 0.25, "ok": True},
    ],
}
OTHER = {
    "machine": {"cores": 2, "python": "3.11.7", "versions": {}, "pragmas": {"synchronous": "FULL"}},
    "rows": [],
    "bars": [
        {"name": "costs less than nothing", "ratio": -0.2, "bar": 0.25, "ok": True},
        {"name": "nothing at all", "ratio": 0.0, "bar": 10.0, "ok": False},
    ],
}
QUESTIONS = [
    Question("append", "How fast?", REPORT, "Many tasks."),
    Question("start", "How long?", None),
    Question("reads", "How many?", OTHER),
]


def test_what_falls_short_is_named_before_the_figures() -> None:
    text = page(QUESTIONS)
    assert text.index("What falls short") < text.index("## How fast?")
    assert "`append`: of the <limit>: 0.300, wanted ≥ 0.500." in text
    assert "`start` did not finish here." in text
    assert "≤ 0.250" in text
    assert "msgspec 0.20" in text
    assert "do not show" in text
    assert "2 of 4 bars were reached" in text


def test_a_section_says_how_it_was_measured_and_what_is_its_own() -> None:
    text = page(QUESTIONS)
    assert "- python: 3.11.7" in text
    assert "Many tasks." in text
    assert "Measured with synchronous FULL." in text
    # What only one of them names is not of the machine.
    assert text.index("Measured with events 20,000.") > text.index("## How fast?")


def test_a_trial_is_named_as_such() -> None:
    assert "Tried only" not in page(QUESTIONS)
    trial = Question("start", "How long?", REPORT | {"trial": True})
    assert "say little:** `start`." in " ".join(page([*QUESTIONS, trial]).split())


def test_a_page_of_nothing_is_a_page() -> None:
    assert "Nothing: every bar was reached." in page([])
    ElementTree.fromstring(picture([]))


def test_every_question_has_a_quick_form_and_explains_itself() -> None:
    assert QUICK.keys() == ASKED.keys()
    for name in ASKED:
        assert len(explanation(name)) > 100, name
        assert "``" not in explanation(name)


def test_the_picture_is_well_formed_whatever_the_bars_are_called() -> None:
    drawn = ElementTree.fromstring(picture(QUESTIONS))
    texts = "".join(drawn.itertext())
    assert "of the <limit>" in texts
    colours = {one.get("fill") for one in drawn.iter() if one.tag.endswith("rect")}
    assert {"#1b7340", "#b1213a"} <= colours
