"""A run goes into the file whole, with its marks and ids, or is refused."""

from pathlib import Path

import pytest

from progress_ledger.ledger.audit.bundle import BundleDamaged
from progress_ledger.ledger.errors import RunExists
from progress_ledger.ledger.sqlite.file import connect_writer, transaction
from progress_ledger.ledger.sqlite.importing import import_run
from tests.ledger.audit.test_verify import body
from tests.ledger.histories import ask


def history(ticks: int) -> list[bytes]:
    events = [body("a", 1, "started", '{"kind":"k","labels":{"x":"y"}}')]
    events += [
        body("a", version, "ticked", '{"done":1}', event_id=f"e{version}") for version in range(2, ticks + 2)
    ]
    return [*events, body("a", ticks + 2, "completed")]


def test_marks_labels_and_event_ids_come_with_the_run(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    file = connect_writer(path, durability="process", busy_timeout=1, now=0.0)
    try:
        events = history(600)
        with transaction(file):
            assert import_run(file, "a", events)
        with transaction(file):
            assert not import_run(file, "a", events)
        with pytest.raises(RunExists), transaction(file):
            import_run(file, "a", events[:-1])
        for wrong in (events[1:], [events[0], *events[2:]]):
            with pytest.raises(BundleDamaged), transaction(file):
                import_run(file, "b", wrong)
    finally:
        file.close()
    assert ask(path, "SELECT version, position FROM mark") == [(256, 256), (512, 512)]
    assert ask(path, "SELECT count(*) FROM event_id") == [(600,)]
    assert ask(path, "SELECT key, value FROM run_label") == [("x", "y")]
    assert ask(path, "SELECT position, number FROM ledger") == [(602, 1)]
