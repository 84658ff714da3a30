"""What every test shares: the event loop, and honest skipping.

A test that needs a program pip cannot install says so with ``@pytest.mark.needs("tmux")`` (or
``@pytest.mark.chromium``) and is skipped with that reason where the program is missing. Where
``PROGRESS_LEDGER_FORBID_SKIPS=1`` is set, a skip of any origin is a failure, so that a machine which is meant
to have everything cannot pass by leaving tests out.
"""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Generator

import pytest

FORBID_SKIPS = os.environ.get("PROGRESS_LEDGER_FORBID_SKIPS", "") not in ("", "0")

# program -> the Debian package that brings it
DEBIAN_PACKAGES = {
    "chromium": "chromium",
    "chromedriver": "chromium-driver",
    "tmux": "tmux",
    "nginx": "nginx-light",
    "caddy": "caddy",
    "node": "nodejs",
}


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


def pytest_runtest_setup(item: pytest.Item) -> None:
    wanted: list[str] = []
    for marker in item.iter_markers("needs"):
        wanted.extend(marker.args)
    if item.get_closest_marker("chromium"):
        wanted += ["chromium", "chromedriver"]
    missing = [program for program in dict.fromkeys(wanted) if shutil.which(program) is None]
    if missing:
        packages = " ".join(DEBIAN_PACKAGES.get(program, program) for program in missing)
        pytest.skip(f"needs {', '.join(missing)}, not installed here (Debian: apt-get install {packages})")


def _refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    # An expected failure is reported as a skip too, with `wasxfail`: that one ran and is no hole.
    if FORBID_SKIPS and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"PROGRESS_LEDGER_FORBID_SKIPS is set, and this was skipped: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _refuse_skip(report)
    return report


def pytest_report_header() -> str:
    return "skips: forbidden" if FORBID_SKIPS else "skips: allowed, reasons at the end"


def pytest_configure() -> None:
    # Servers, producers and browsers started by tests inherit the environment: a test run must never write to
    # the developer's own ledger.
    for name in ("PROGRESS_LEDGER_DB", "PROGRESS_LEDGER_URL"):
        os.environ.pop(name, None)
    # A shell starts what it puts in the background with Ctrl-C ignored, and children inherit that: tests that
    # send it would wait for ever.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
