"""`export` writes what can be proven, in files or to a pipe, and other forms for reading on."""

import gzip
import subprocess
import sys
from pathlib import Path

import pytest

from tests.api.auditing import command, ledger_file

Capture = pytest.CaptureFixture[str]


def test_a_pipe_gets_the_very_lines_of_the_log(
    tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    from progress_ledger.api.cli import main

    db = ledger_file(tmp_path / "a.db")
    manifest = tmp_path / "m.json"
    assert main(["export", "--db", str(db), "--run", "run-1", "--manifest", str(manifest)]) == 0
    out = capsysbinary.readouterr().out
    assert [line[:13] for line in out.splitlines()] == [
        b'{"position":%d' % at
        for at in (
            2,
            5,
            8,
        )
    ] + [b'{"position":1'] * 3 + [b'{"position":2']
    (tmp_path / "e").write_bytes(out)
    manifest.rename(tmp_path / "e.manifest.json")
    assert main(["verify", str(tmp_path / "e")]) == 0


def test_a_packed_bundle_is_checked_by_the_printed_script(tmp_path: Path, capsys: Capture) -> None:
    pytest.importorskip("cryptography")
    db = ledger_file(tmp_path / "a.db")
    key = command(
        capsys,
        "checkpoint",
        "--db",
        db,
        "--new-key",
        tmp_path / "key",
        "--origin",
        "log.example",
    )
    assert key.status == 0, key.err
    said = command(
        capsys,
        "export",
        "--db",
        db,
        "--run",
        "run-0",
        "-o",
        tmp_path / "b.ndjson",
        "--gzip",
        "--key",
        tmp_path / "key",
    )
    assert said.status == 0, said.err
    assert said.lines[0]["file"].endswith("b.ndjson.gz")
    assert gzip.decompress((tmp_path / "b.ndjson.gz").read_bytes()).count(b"\n") == 7
    script = tmp_path / "verify_bundle.py"
    script.write_text(command(capsys, "export", "--verifier").out)
    done = subprocess.run(
        [sys.executable, "-I", "-S", script, tmp_path / "b.ndjson.gz", "--key", key.out.strip()],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "signature checked" in done.stdout


@pytest.mark.parametrize("form", ["cloudevents", "csv"])
def test_other_forms_hold_every_event(form: str, tmp_path: Path, capsys: Capture) -> None:
    db = ledger_file(tmp_path / "a.db")
    assert command(capsys, "export", "--db", db, "--all", "--format", form, "-o", tmp_path / "x").status == 0
    lines = (tmp_path / "x").read_bytes().splitlines()
    assert len(lines) == 21 + (form == "csv")


@pytest.mark.parametrize(
    "options",
    [(), ("--run", "a", "--all"), ("--run", "a", "--kind", "b"), ("--since", "soon"), ("--all", "--gzip")],
)
def test_wrong_usage_is_said_in_a_sentence(options: tuple[str, ...], tmp_path: Path, capsys: Capture) -> None:
    db = ledger_file(tmp_path / "a.db")
    said = command(capsys, "export", "--db", db, *options)
    assert said.status == 2
    assert said.err
    assert command(capsys, "export", "--db", tmp_path / "none.db", "--all").status == 1
    assert command(capsys, "export", "--db", db, "--run", "nobody").status == 1
