"""What ties a handle to its feed."""

from __future__ import annotations

from pathlib import Path

from progress_ledger.ledger import open_run
from progress_ledger.ledger.events import Ticked
from progress_ledger.ledger.producers.background import stop_all
from progress_ledger.ledger.producers.line import CALL_SECONDS, Line


def test_after_a_fork_it_owns_nothing_and_joins_when_something_is_said(tmp_path: Path) -> None:
    with open_run("k", ledger=tmp_path / "p.db", run_id="r") as run:
        line = run._line
        assert isinstance(line, Line)
        assert line.owns
        keep = line.feed, line._background
        line.after_fork()  # as if this were the child
        assert (line.owns, line.feed) == (False, None)
        run.advance(2)
        run.flush()
        assert line.feed is not None
        receipt, error = line.say(Ticked(advance=1))
        assert (receipt is not None, error) == (True, None)
        line.close()
        assert line.say(Ticked(advance=1), timeout=CALL_SECONDS)[0] is None
        feed, background = keep
        assert feed is not None
        assert background is not None
    stop_all()
