"""The options that describe a run reach it."""

from __future__ import annotations

from pathlib import Path

from tests.api.commanding import events, run_command


def test_every_option_reaches_the_run(tmp_path: Path) -> None:
    path = tmp_path / "p.db"
    options = ["--run-id", "x", "--title", "T", "--total", "3", "--slot", "s", "--label", "a:b:c"]
    assert run_command(path, "pipe", *options).status == 0
    data = events(path)[0]["data"]
    assert events(path)[0]["run_id"] == "x"
    assert (data["title"], data["total"], data["slot"], data["labels"]) == ("T", 3, "s", {"a": "b:c"})


def test_wrong_options_are_wrong_usage(tmp_path: Path) -> None:
    for options in (["--label", "nothing"], ["--total", "-1"], ["--total", "x"], ["--db", "a", "--url", "b"]):
        result = run_command(tmp_path / "p.db", "pipe", *options)
        assert result.status == 2, options
        assert b"Traceback" not in result.err
