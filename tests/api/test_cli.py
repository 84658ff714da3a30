"""The command line ends with the right status and one sentence, whatever is wrong."""

from __future__ import annotations

import re
import socket
import sqlite3
from pathlib import Path

import anyio
import pytest

from progress_ledger.api.cli import main
from tests import tree
from tests.api.asking import PROGRAM, api, environment, program

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("fly",),
        ("show",),
        ("ls", "--limit", "many"),
        ("ls", "--limit", "0"),
        ("ls", "--db", "a", "--url", "http://b"),
        ("ls", "--url", "nonsense"),
        ("serve", "--port", "99999"),
    ],
)
def test_wrong_usage_is_2(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert "Traceback" not in told.err
    assert told.err


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ("serve", "--help"), ("demo", "--help")])
def test_help_is_0(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 0
    assert capsys.readouterr().out


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a ledger, somebody's database and a text that is none."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.db").write_text("this is no database at all, whatever its name says\n" * 100)
    other = sqlite3.connect(tmp_path / "other.db")
    other.execute("CREATE TABLE t (x)")
    other.close()

    async def fill() -> None:
        async with api(tmp_path / "p.db") as asked:
            await asked.begin("r")

    anyio.run(fill)
    return tmp_path


@pytest.mark.parametrize(
    "arguments", [("ls", "--status", "busy"), ("show", "r", "--at", "noon"), ("ls", "--label", "x")]
)
def test_a_question_the_ledger_does_not_understand_is_2(
    files: Path, arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--db", "p.db"]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert len(told.err.splitlines()) == 1


MISSING = [
    ("ls", "--db", "missing.db"),
    ("ls", "--db", "no/such/folder.db"),
    ("ls", "--db", "text.db"),
    ("ls", "--db", "other.db"),
    ("show", "--db", "p.db", "nope"),
    ("log", "--db", "p.db", "nope"),
    ("watch", "--db", "p.db", "nope"),
    ("show", "--db", "p.db", "a/../b"),
    ("ls", "--url", "http://127.0.0.1:1"),
    ("serve", "--db", "other.db", "--port", "0"),
    ("demo", "--db", "text.db"),
]


@pytest.mark.parametrize("arguments", MISSING, ids=" ".join)
def test_what_is_not_there_is_1_and_one_sentence(
    files: Path, arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("progress-ledger: "), told.err
    assert len(told.err.splitlines()) == 1, told.err
    assert not (files / "missing.db").exists()


async def test_the_whole_process_says_no_more_than_that(tmp_path: Path) -> None:
    done = await program("show", "--db", "missing.db", "r", cwd=tmp_path)
    assert (done.status, done.output) == (1, "")
    missing = tmp_path / "missing.db"
    assert done.errors == (
        f"progress-ledger: There is no ledger at {missing}; name another file, or append to begin one.\n"
    )


async def test_a_reader_who_has_had_enough_is_no_error(tmp_path: Path) -> None:
    async with api(tmp_path / "p.db") as asked:
        await asked.begin("r")
        for _ in range(20):
            await asked.append("r", *[{"type": "noted", "data": {"message": "x" * 1_000}}] * 100)
    command = [*PROGRAM, "log", "--db", "p.db", "r"]
    done = await anyio.run_process(
        ["sh", "-c", '{ "$@"; echo "status $?" >&2; } | head -n 1', "sh", *command],
        cwd=tmp_path,
        env=environment(),
        check=False,
    )
    assert done.stdout.startswith(b'{"position":1,')
    assert done.stderr == b"status 0\n"


def test_what_nobody_foresaw_is_one_sentence_and_a_traceback_on_request(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*_: object) -> None:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr("progress_ledger.api.commands.ls.run_loop", fails)
    assert main(["ls"]) == 1
    assert capsys.readouterr().err.startswith("progress-ledger: ZeroDivisionError: by zero (")
    monkeypatch.setenv("PROGRESS_LEDGER_TRACEBACK", "1")
    with pytest.raises(ZeroDivisionError):
        main(["ls"])


def test_ctrl_c_is_what_a_shell_expects(monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("progress_ledger.api.commands.ls.run_loop", stopped)
    assert main(["ls"]) == 130


async def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    done = await program("serve", "--db", "file/p.db", "--port", "0", cwd=tmp_path)
    assert (done.status, done.output) == (1, "")
    assert len(done.errors.splitlines()) == 1


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
async def test_standard_streams_that_are_closed_do_not_matter(tmp_path: Path, closed: str) -> None:
    async with api(tmp_path / "p.db") as asked:
        await asked.begin("r")
    shell = f'exec "$0" "$@" {closed}'
    result = await anyio.run_process(
        ["sh", "-c", shell, *PROGRAM, "show", "r", "--db", str(tmp_path / "p.db")],
        check=False,
        env=environment(),
    )
    assert (result.returncode, result.stderr) == (0, b"")


@pytest.mark.parametrize("run_id", ["", "a/b", "current", "batch", "..", "é", "x" * 5_000])
@pytest.mark.parametrize("command", ["show", "log", "watch", "replay"])
def test_what_can_be_no_runs_id_is_no_run(
    files: Path, command: str, run_id: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main((command, "--db", "p.db", "--", run_id)) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err == f"progress-ledger: There is no run {run_id[:200]!r}.\n"


def test_a_run_that_cannot_be_is_wrong_usage(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(("exec", "--db", "p.db", "--run-id", "a b", "--", "true")) == 2
    assert "a b" in capsys.readouterr().err
    assert main(("exec", "--db", "p.db", "--title", "x" * 70_000, "--", "true")) == 2


@pytest.mark.parametrize("url", ["nonsense", "http://h:99999", "http://[::1", "ftp://h", "http://"])
def test_a_url_that_is_none_is_wrong_usage_for_every_command(
    files: Path, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in (("ls",), ("watch",), ("exec", "--", "true")):
        assert main((command[0], "--url", url, *command[1:])) == 2
        assert capsys.readouterr().err == (
            f"progress-ledger: {url!r} is no URL of a server; write http://HOST:PORT.\n"
        )
    assert not (files / "nonsense").exists()


def test_a_folder_is_said_to_be_one(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(("ls", "--db", str(files))) == 1
    assert "is a folder" in capsys.readouterr().err


def test_what_the_system_refuses_is_named(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(("serve", "--db", "p.db", "--port", str(port))) == 1
        assert capsys.readouterr().err == (
            f"progress-ledger: 127.0.0.1:{port}: Address already in use; "
            "choose another --port (0 takes any free one).\n"
        )
    assert main(("serve", "--db", "p.db", "--uds", "/no/such/socket")) == 1
    assert "/no/such/socket: " in capsys.readouterr().err
    assert main(("serve", "--config", "/no/such.toml")) == 1
    assert capsys.readouterr().err == "progress-ledger: /no/such.toml: No such file or directory.\n"


def test_the_reference_has_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    main(("--help",))
    commands = re.findall(r"^    ([a-z]+)(?: |$)", capsys.readouterr().out, re.MULTILINE)
    assert len(commands) > 15
    page = (tree.ROOT / "docs" / "reference" / "cli.md").read_text("utf-8")
    told = {
        name
        for heading in re.findall(r"^## (.*)$", page, re.MULTILINE)
        for name in re.findall(r"`(\w+)", heading)
    }
    assert set(commands) == told
