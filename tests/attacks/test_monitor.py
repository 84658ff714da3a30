"""A verifier of the published format that is not ours audits a live server, and rejects each attack on it."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest

from tests.attacks import attacks
from tests.attacks.attacks import Victim, victim
from tests.ledger.histories import tamper

PACKAGE = "aics-tlog==0.2.1"
SCRIPT = Path(__file__).with_name("monitor.py")


def _run(*command: str | Path) -> int:
    return subprocess.run(command, capture_output=True, timeout=50, check=False).returncode


def _newer_python() -> str | None:
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = [shutil.which(f"python3.{minor}") for minor in (14, 13, 12)]
    found += [str(path / "bin" / "python") for path in sorted(versions.glob("3.1[2-9]*"), reverse=True)]
    for python in found:
        if python and _run(python, "-c", "import venv") == 0:
            return python
    return None


@pytest.fixture(scope="module")
def monitor(request: pytest.FixtureRequest) -> str:
    """The interpreter of an environment that has the package; made once and kept in pytest's cache."""
    pytest.importorskip("cryptography")
    python = _newer_python()
    if python is None:
        pytest.skip("needs a Python >= 3.12 for aics-tlog, none is installed here")
    cache = request.config.cache
    assert cache is not None
    folder = cache.mkdir("tlog-monitor")
    inside = folder / "bin" / "python"
    if not inside.exists() or _run(inside, "-c", "import aics_tlog"):
        pip = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", PACKAGE)
        if _run(python, "-m", "venv", "--clear", folder) or _run(inside, *pip):
            pytest.skip(f"needs {PACKAGE}, which could not be installed for {python}")
    return str(inside)


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Victim:
    pytest.importorskip("cryptography")
    return anyio.run(victim, tmp_path_factory.mktemp("victim"))


@contextmanager
def _served(path: Path) -> Iterator[str]:
    program = "import sys; from progress_ledger.api.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", program, "serve", "--db", str(path), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            line = server.stdout.readline()
            assert line.startswith("listening on "), line
            yield line.split()[-1]
        finally:
            server.terminate()
            server.wait(20)


def _audit(monitor: str, url: str, one: Victim, *, old: str) -> subprocess.CompletedProcess[str]:
    command = [monitor, str(SCRIPT), f"{url}/v1/log/", one.signer.public.text, old]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_a_stranger_audits_checkpoint_tiles_and_entries_of_a_live_server(
    monitor: str, one: Victim, tmp_path: Path
) -> None:
    path = tmp_path / "ledger.db"
    shutil.copy(one.db, path)
    with _served(path) as url:
        for old in (one.early, one.last):
            said = _audit(monitor, url, one, old=old)
            assert said.returncode == 0, said.stderr
            size = int(one.last.split("\n")[1])
            assert json.loads(said.stdout) == {"size": size, "tiles": 3, "bundles": 2}


def _resign(one: Victim, path: Path) -> None:
    """The operator himself rewrites history and signs it with the true key."""
    attacks._rewrite(path, one.signer)


# attack, and what the monitor says of it
ATTACKS: dict[str, tuple[Callable[[Victim, Path], None], str]] = {
    "an event is changed": (attacks.ON_FILE[0][1], "TileVerificationError"),
    "two events are swapped": (attacks.ON_FILE[8][1], "TileVerificationError"),
    "a tile is edited": (attacks.ON_FILE[14][1], "TileVerificationError"),
    "a checkpoint is edited": (attacks.ON_FILE[15][1], "checkpoint:"),
    "an event is deleted": (
        lambda _, path: tamper(path, "DELETE FROM event WHERE position = 40"),
        "TileVerificationError",
    ),
    "rewritten and signed with a new key": (attacks._new_key, "checkpoint:"),
    "rewritten and signed with the true key": (_resign, "consistency:"),
    "another history is shown": (attacks._split_view, "consistency:"),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_stranger_rejects(attack: str, monitor: str, one: Victim, tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    shutil.copy(one.db, path)
    change, verdict = ATTACKS[attack]
    change(one, path)
    with _served(path) as url:
        said = _audit(monitor, url, one, old=one.last)
    assert said.returncode == 1, said.stdout
    assert verdict in said.stderr
