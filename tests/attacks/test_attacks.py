"""Every attack of the table is tried, and found by exactly what the table says; the page shows this table."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from progress_ledger.api.commands.verify import verify_path
from progress_ledger.ledger.audit.bundle import BundleDamaged
from progress_ledger.ledger.audit.export import manifest_path
from tests.attacks.attacks import ON_BUNDLE, ON_FILE, Victim, victim
from tests.tree import ROOT

PAGE = ROOT / "docs" / "explanation" / "attacks.md"
BEGIN, END = "<!-- table: tests/attacks -->\n", "<!-- end of table -->\n"
Attack = tuple[str, Callable[[Victim, Path], None], tuple[bool, bool, bool]]


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Victim:
    pytest.importorskip("cryptography")
    folder = tmp_path_factory.mktemp("victim")
    return anyio.run(victim, folder)


def _verdicts(one: Victim, path: Path) -> list[str]:
    """What is found with nothing, with the checkpoint kept, and with that and the key: "" is nothing."""
    found: list[str] = []
    for notes, key in (([], None), ([one.last], None), ([one.last], one.signer.public)):
        try:
            report = verify_path(path, notes=notes, key=key)
        except BundleDamaged as error:
            found.append(error.code)
            continue
        assert report.ok == (not report.findings)
        found.append(report.findings[0].kind if report.findings else "")
    return found


def _check(one: Victim, path: Path, expected: tuple[bool, bool, bool]) -> None:
    found = _verdicts(one, path)
    assert tuple(bool(kind) for kind in found) == expected, found


def test_what_nobody_touched_verifies(one: Victim) -> None:
    assert _verdicts(one, one.db) == ["", "", ""]
    assert _verdicts(one, one.bundle) == ["", "", ""]


@pytest.mark.parametrize("attack", ON_FILE, ids=lambda attack: attack[0])
def test_an_attack_on_the_file_is_found_by_what_the_table_says(
    attack: Attack, one: Victim, tmp_path: Path
) -> None:
    path = tmp_path / "ledger.db"
    shutil.copy(one.db, path)
    attack[1](one, path)
    _check(one, path, attack[2])


@pytest.mark.parametrize("attack", ON_BUNDLE, ids=lambda attack: attack[0])
def test_an_attack_on_a_bundle_is_found_by_what_the_table_says(
    attack: Attack, one: Victim, tmp_path: Path
) -> None:
    path = tmp_path / one.bundle.name
    shutil.copy(one.bundle, path)
    shutil.copy(manifest_path(one.bundle), manifest_path(path))
    attack[1](one, path)
    _check(one, path, attack[2])


def test_a_changed_event_is_named_with_its_run_and_its_bytes(one: Victim, tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    shutil.copy(one.db, path)
    ON_FILE[0][1](one, path)
    report = verify_path(path, notes=[one.early])
    first = report.findings[0]
    assert (first.kind, first.position, first.run_id) == ("changed_event", 40, "run-3")
    assert first.start is not None
    assert b'"version":' in path.read_bytes()[first.start : first.end]
    assert report.trusted == 39


def test_what_an_early_checkpoint_vouches_for_stays_trustworthy(one: Victim, tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    shutil.copy(one.db, path)
    ON_FILE[10][1](one, path)
    report = verify_path(path, notes=[one.early])
    assert (report.trusted, report.trusted_by) == (int(one.early.split("\n")[1]), "the checkpoint you hold")


def test_the_page_shows_this_table() -> None:
    rows = ["| attack | nothing | a checkpoint you kept | that, and the log's key |", "|---|---|---|---|"]
    for what, attacks in (("the file", ON_FILE), ("what was handed out", ON_BUNDLE)):
        rows.append(f"| **on {what}** | | | |")
        rows += [
            f"| {name} | " + " | ".join("found" if each else "**not found**" for each in found) + " |"
            for name, _, found in attacks
        ]
    table = "\n".join(rows) + "\n"
    text = PAGE.read_text("utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    if os.environ.get("PROGRESS_LEDGER_WRITE_DOCS"):
        PAGE.write_text(before + BEGIN + table + END + after, "utf-8")
    else:
        assert text == before + BEGIN + table + END + after, "run this test with PROGRESS_LEDGER_WRITE_DOCS=1"
