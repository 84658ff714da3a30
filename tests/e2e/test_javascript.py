"""The JavaScript that others use, outside of a browser: run by Node's own test runner."""

from __future__ import annotations

import os
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path

import pytest

from .site import Site

pytestmark = pytest.mark.needs("node")


@pytest.mark.parametrize("name", ["client", "format"])
def test_the_javascript_passes_its_own_tests(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "modules"
    folder.mkdir()
    (folder / "package.json").write_text('{"type": "module"}')
    for module in (files("progress_ledger.api") / "dashboard").iterdir():
        if module.name.endswith(".js"):
            (folder / module.name).write_bytes(module.read_bytes())
    test = shutil.copy(Path(__file__).with_name(f"{name}.test.mjs"), folder)
    site = Site(tmp_path / "ledger.db").start()
    try:
        done = subprocess.run(
            ["node", "--test", test],
            env={**os.environ, "SITE": site.url, "TZ": "UTC"},
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
        )
    finally:
        site.close()
    assert done.returncode == 0, done.stdout + done.stderr
