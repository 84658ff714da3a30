"""Arguments before the environment, the environment before the file, and every mistake is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from progress_ledger.api.access.limits import Limits
from progress_ledger.api.settings import BadSetting, Settings, read_toml, settings
from progress_ledger.api.streams.stream import StreamSettings


def test_without_anything_the_defaults_stand() -> None:
    made = settings({}, {})
    assert made == Settings()
    assert (made.host, made.port, made.allow_origin) == ("127.0.0.1", 8000, ())
    assert (made.limits, made.streams) == (Limits(), StreamSettings())


def test_arguments_go_before_the_environment_and_that_before_the_file() -> None:
    file = {"host": "h1", "port": 1, "durability": "process", "limits": {"streams": 5, "runs_burst": 7}}
    environment = {
        "PROGRESS_LEDGER_HOST": "h2",
        "PROGRESS_LEDGER_PORT": "2",
        "PROGRESS_LEDGER_LIMITS_STREAMS": "6",
    }
    made = settings({"port": 3, "host": None}, environment, file)
    assert (made.host, made.port, made.durability) == ("h2", 3, "process")
    assert (made.limits.streams, made.limits.runs_burst) == (6, 7.0)


def test_lists_have_commas_in_the_environment() -> None:
    made = settings({}, {"PROGRESS_LEDGER_ALLOW_ORIGIN": "https://a.example, https://b.example"})
    assert made.allow_origin == ("https://a.example", "https://b.example")
    assert settings({"allow_origin": ["https://c.example"]}, {}).allow_origin == ("https://c.example",)


def test_an_empty_variable_and_others_own_names_say_nothing() -> None:
    environment = {"PROGRESS_LEDGER_PORT": "", "PROGRESS_LEDGER_URL": "http://x", "PROGRESS_LEDGER_NOPE": "1"}
    assert settings({}, environment) == Settings()


def test_flags_are_words_in_the_environment() -> None:
    assert settings({}, {"PROGRESS_LEDGER_CHECKPOINT_AT_END": "true"}).checkpoint_at_end is True
    assert settings({}, {"PROGRESS_LEDGER_CHECKPOINT_AT_END": "0"}).checkpoint_at_end is False


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PROGRESS_LEDGER_PORT", "many"),
        ("PROGRESS_LEDGER_PORT", "65536"),
        ("PROGRESS_LEDGER_DURABILITY", "none"),
        ("PROGRESS_LEDGER_LIMITS_STREAMS", "0"),
        ("PROGRESS_LEDGER_LIMITS_RUNS_PER_SECOND", "-1"),
        ("PROGRESS_LEDGER_LOG_FORMAT", "xml"),
    ],
)
def test_a_wrong_variable_is_named(variable: str, value: str) -> None:
    with pytest.raises(BadSetting, match=variable):
        settings({}, {variable: value})


@pytest.mark.parametrize(
    "text",
    [
        "prot = 8000",
        "port = '8000'",
        "[limits]\nstream = 5",
        "[streams]\nreplay = 5",
        "[[webhooks]]\nurl = 'ftp://x'\nsecret = 'whsec_c2VjcmV0c2VjcmV0'",
        "[[webhooks]]\nurl = 'http://x'\nsecret = 'not base64 at all'",
        "[[webhooks]]\nurl = 'http://x'",
        "port = ",
    ],
)
def test_a_wrong_file_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "ledger.toml"
    path.write_text(text)
    with pytest.raises(BadSetting, match=r"ledger\.toml"):
        settings({}, {}, read_toml(path), file_name=str(path))


def test_a_whole_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "ledger.toml"
    path.write_text(
        """
        db = "/var/lib/progress/progress.db"
        uds = "/run/progress.sock"
        allow_host = ["progress.example"]
        prune_older_than = "90d"
        log_format = "json"
        [limits]
        requests_per_second = 50
        [streams]
        max_streams = 100
        [[webhooks]]
        url = "https://hooks.example/progress"
        secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
        events = ["failed", "stalled"]
        kinds = "backup*"
        """
    )
    made = settings({}, {}, read_toml(path))
    assert (made.uds, made.prune_older_than, made.limits.requests_per_second) == (
        "/run/progress.sock",
        "90d",
        50,
    )
    assert made.streams.max_streams == 100
    assert made.webhooks[0].events == ("failed", "stalled")
