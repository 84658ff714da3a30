"""A skip is seen, with its reason, and is a failure where skips are forbidden."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests import tree

SUITE = """
import pytest

@pytest.mark.needs("a-program-nobody-has")
def test_with_a_program(): ...

def test_with_an_import():
    pytest.importorskip("a_module_nobody_has")

@pytest.mark.xfail
def test_expected_to_fail():
    assert False

@pytest.mark.needs("sh")
def test_that_runs(): ...
"""

SKIPPED_MODULE = 'import pytest\npytest.skip("not on this machine", allow_module_level=True)\n'


def _pytest(folder: Path, *, forbid: bool) -> tuple[int, str]:
    (folder / "test_suite.py").write_text(SUITE)
    (folder / "test_module.py").write_text(SKIPPED_MODULE)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers =\n  needs(*programs): x\n")
    environment = os.environ | {
        "PYTHONPATH": str(tree.ROOT),
        "PROGRESS_LEDGER_FORBID_SKIPS": "1" if forbid else "0",
    }
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-ra",
            "-p",
            "tests.conftest",
            "-p",
            "no:cacheprovider",
            "--continue-on-collection-errors",
        ],
        cwd=folder,
        env=environment | {"COLUMNS": "300"},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    return done.returncode, done.stdout


def test_a_skip_names_the_program_and_how_to_get_it(tmp_path: Path) -> None:
    status, output = _pytest(tmp_path, forbid=False)
    assert status == 0
    assert "1 passed, 3 skipped, 1 xfailed" in output
    assert "needs a-program-nobody-has, not installed here (Debian: apt-get install" in output


def test_where_skips_are_forbidden_a_skip_of_any_origin_is_a_failure(tmp_path: Path) -> None:
    status, output = _pytest(tmp_path, forbid=True)
    assert status != 0
    assert output.count("PROGRESS_LEDGER_FORBID_SKIPS is set, and this was skipped:") >= 3
    for reason in ("needs a-program-nobody-has", "a_module_nobody_has", "not on this machine"):
        assert reason in output
    assert "1 failed, 1 passed, 1 xfailed, 2 errors" in output
