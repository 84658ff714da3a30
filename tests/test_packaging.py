"""What people install is complete and alone: the wheel, built from the sdist, in a clean environment.

The environment also holds somebody else's top-level ``api`` package, and the working directory somebody's
``ledger`` folder: both are common, and both break a distribution that claims such names for itself.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path
from typing import NamedTuple

import pytest

from tests import tree

# Builds twice and downloads the dependencies.
pytestmark = pytest.mark.timeout(300)

FOREIGN = 'OWNER = "somebody else"\n'

SMOKE = """
import importlib, importlib.metadata, pkgutil
import api, ledger
assert api.OWNER == ledger.OWNER == "somebody else", "our wheel took a name that is not ours"

import progress_ledger
import progress_ledger.api, progress_ledger.ledger, progress_ledger.projections
assert progress_ledger.__file__ is None, "progress_ledger is a namespace package"
optional = {"httpx", "cryptography", "pyarrow", "nats", "tqdm", "pytest", "celery"}
for found in pkgutil.walk_packages(progress_ledger.__path__, "progress_ledger."):
    if found.name.endswith("__main__"):
        continue
    try:
        module = importlib.import_module(found.name)
    except ModuleNotFoundError as missing:
        assert missing.name.split(".")[0] in optional, f"{found.name} needs {missing.name}, not a dependency"
        continue
    for name in module.__dict__.get("__all__", ()):
        getattr(module, name)
print(importlib.metadata.version("progress-ledger"))
"""


class Installed(NamedTuple):
    sdist: Path
    wheel: Path
    scripts: Path
    """The environment's folder of programs."""
    python: Path
    elsewhere: Path
    """A working directory with a ``ledger`` folder that is not ours."""


def _run(*command: str | Path, cwd: Path) -> str:
    ours = ("PYTHON", "COV")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    base = tmp_path_factory.mktemp("packaging")
    # Without --sdist or --wheel, `build` makes the sdist and then the wheel from it, not from the tree.
    _run(sys.executable, "-m", "build", "--no-isolation", "--outdir", base / "dist", tree.ROOT, cwd=base)
    (sdist,) = (base / "dist").glob("*.tar.gz")
    (wheel,) = (base / "dist").glob("*.whl")

    venv.EnvBuilder(with_pip=True, symlinks=True).create(base / "env")
    scripts = base / "env" / "bin"
    python = scripts / "python"
    site = Path(
        _run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=base).strip()
    )
    elsewhere = base / "elsewhere"
    for folder in (site / "api", elsewhere / "ledger"):
        folder.mkdir(parents=True)
        (folder / "__init__.py").write_text(FOREIGN)
    _run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", wheel, cwd=base)
    assert (site / "api" / "__init__.py").read_text() == FOREIGN, (
        "our wheel wrote over somebody's api package"
    )
    return Installed(sdist, wheel, scripts, python, elsewhere)


def _shipped_files() -> set[str]:
    return {
        f"progress_ledger/{tree.name(path)}"
        for package in tree.PACKAGES
        for path in (tree.ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc"
    }


def test_the_wheel_holds_every_file_of_the_packages_and_no_other(installed: Installed) -> None:
    with zipfile.ZipFile(installed.wheel) as archive:
        held = {each for each in archive.namelist() if ".dist-info/" not in each}
    assert held == _shipped_files()
    for package in tree.PACKAGES:
        assert f"progress_ledger/{package}/py.typed" in held


def test_the_sdist_holds_the_packages_the_licence_and_the_readme(installed: Installed) -> None:
    with tarfile.open(installed.sdist) as archive:
        held = {each.split("/", 1)[1] for each in archive.getnames() if "/" in each}
    assert {"README.md", "LICENSE", "pyproject.toml", "docs/CHANGELOG.md"} <= held
    assert {each.removeprefix("progress_ledger/") for each in _shipped_files()} <= held


def test_every_module_is_importable_beside_foreign_packages_without_any_extra(installed: Installed) -> None:
    version = _run(installed.python, "-W", "error", "-c", SMOKE, cwd=installed.elsewhere)
    assert installed.wheel.name.startswith(f"progress_ledger-{version.strip()}-")


def test_the_console_script_answers_beside_foreign_packages(installed: Installed) -> None:
    assert "serve" in _run(installed.scripts / "progress-ledger", "--help", cwd=installed.elsewhere)
