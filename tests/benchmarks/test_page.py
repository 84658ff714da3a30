"""The page says what was reached, what was not, and what did not run."""

from __future__ import annotations

from xml.etree import ElementTree

from benchmarks.page import Question, page, picture

REPORT = {
    "machine": {"cores": 2, "python": "3.11.7", "libraries": {"msgspec": "0.20"}},
    "rows": [{"name": "append, 64 tasks", "value": 81234.5, "unit": "events/s"}],
    "bars": [
        {"name": "of the <limit>", "ratio": 0.3, "bar": 0.5, "ok": False},
        {"name": "cost of the fold", "ratio": 0.1, "bar": 0.25, "ok": True},
    ],
}
QUESTIONS = [Question("append", "How fast?", REPORT), Question("start", "How long?", None)]


def test_what_falls_short_is_named_before_the_figures() -> None:
    text = page(QUESTIONS)
    assert text.index("What falls short") < text.index("## How fast?")
    assert "`append`: of the <limit>: 0.300, wanted ≥ 0.500." in text
    assert "`start` did not finish here." in text
    assert "≤ 0.250" in text
    assert "msgspec 0.20" in text
    assert "do not show" in text


def test_the_picture_is_well_formed_whatever_the_bars_are_called() -> None:
    drawn = ElementTree.fromstring(picture(QUESTIONS))
    texts = "".join(drawn.itertext())
    assert "of the <limit>" in texts
    colours = {one.get("fill") for one in drawn.iter() if one.tag.endswith("rect")}
    assert {"#1b7340", "#b1213a"} <= colours
