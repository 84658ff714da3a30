"""A test session as a run: ``pytest -p progress_ledger.ledger.adapters.pytest_plugin --progress-ledger``."""

from typing import TYPE_CHECKING

from ..producers.open_run import OpenRun, open_run

if TYPE_CHECKING:
    import pytest

__all__ = ("pytest_addoption", "pytest_configure")


def pytest_addoption(parser: "pytest.Parser") -> None:
    """Add ``--progress-ledger[=PATH or URL]``."""
    parser.getgroup("progress-ledger").addoption(
        "--progress-ledger", nargs="?", const="", metavar="LEDGER", help="report the session as a run"
    )


def pytest_configure(config: "pytest.Config") -> None:
    """Watch the session when that was asked for."""
    ledger = config.getoption("--progress-ledger")
    if ledger is not None and not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Session(ledger or None), "progress-ledger-session")


class _Session:
    def __init__(self, ledger: str | None) -> None:
        self._ledger = ledger
        self._run: OpenRun | None = None
        self._failed = 0

    def pytest_collection_finish(self, session: "pytest.Session") -> None:
        self._run = open_run("pytest", ledger=self._ledger, total=len(session.items), unit="tests")

    def pytest_runtest_logreport(self, report: "pytest.TestReport") -> None:
        if self._run is None:
            return
        counts: dict[str, int] = {}
        if report.failed:
            self._failed += 1
            counts["failed"] = 1
        elif report.skipped or report.when == "call":
            counts[report.outcome] = 1
        if report.when == "teardown" or counts:
            self._run.advance(int(report.when == "teardown"), counts, report.nodeid)

    def pytest_sessionfinish(self, session: "pytest.Session", exitstatus: int) -> None:
        run, self._run = self._run, None
        if run is None:
            return
        if exitstatus == 2:
            run.cancel("stopped by hand")
        elif exitstatus in (0, 5):
            run.complete()
        else:
            run.fail(f"{self._failed} failed (exit status {int(exitstatus)})")
        run.close()
