"""A job's warnings are notes of its run."""

from __future__ import annotations

import logging
from pathlib import Path

from progress_ledger.ledger import open_run
from progress_ledger.ledger.adapters.logs import RunHandler
from progress_ledger.ledger.producers.background import stop_all
from tests.ledger.producers.test_open_run import events


def test_records_become_notes_with_their_level_and_the_ledgers_own_do_not(tmp_path: Path) -> None:
    logger = logging.getLogger("a.job")
    with open_run("k", ledger=tmp_path / "p.db", run_id="r") as run:
        handler = RunHandler(run)
        logger.addHandler(handler)
        logging.getLogger("progress_ledger").addHandler(handler)
        logger.info("not this")
        logger.warning("disk %d%% full", 91)
        logger.error("no\0more")
        logging.getLogger("progress_ledger.x").warning("nor this")
        logger.removeHandler(handler)
        logging.getLogger("progress_ledger").removeHandler(handler)
    stop_all()
    notes = [event["data"] for event in events(tmp_path / "p.db", "r") if event["type"] == "noted"]
    assert notes == [
        {"message": "disk 91% full", "level": "warning"},
        {"message": "no\N{SYMBOL FOR NULL}more", "level": "error"},
    ]
