"""Requests made from the served description, by schemathesis, against a real server."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from progress_ledger.api.routes.openapi import document

PROGRAM = (sys.executable, "-c", "import sys; from progress_ledger.api.cli import main; sys.exit(main())")

pytestmark = [
    pytest.mark.timeout(120),
    # The library's own dependencies warn of what they will change.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]

# Streams do not end by themselves, and lines are no JSON: other modules here are about them.
schema = schemathesis.openapi.from_dict(document()).exclude(path_regex="(/stream|/v1/events)$")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with two runs; whatever it says on standard error is a failure."""
    folder = tmp_path_factory.mktemp("schema")
    with (folder / "errors").open("w") as errors:
        process = subprocess.Popen(
            [*PROGRAM, "serve", "--db", str(folder / "p.db"), "--port", "0", "--durability", "process"],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        assert process.stdout is not None
        base = process.stdout.readline().split()[-1]
        try:
            for run_id in ("a", "b"):
                httpx.post(f"{base}/v1/runs", json={"run_id": run_id, "kind": "job"}).raise_for_status()
            yield base
            assert httpx.get(f"{base}/healthz").json()["status"] == "ok"
        finally:
            process.terminate()
            assert process.wait(20) == 0
            process.stdout.close()
    assert Path(folder / "errors").read_text() == ""


def _head(url: str) -> int:
    position: int = httpx.get(f"{url}/readyz").json()["position"]
    return position


@schema.parametrize()
@settings(
    max_examples=5,
    deadline=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
def test_what_the_description_allows_and_forbids_is_answered_as_it_says(
    case: schemathesis.Case[Any], url: str
) -> None:
    before = _head(url)
    answer = case.call(base_url=url, timeout=20)
    case.validate_response(answer, checks=CHECKS)
    if answer.status_code >= 400:
        assert _head(url) == before


@pytest.mark.parametrize(
    "query", ["inclusion?position=893499", "consistency?old=1&new=893499", "inclusion?position=1&size=9999"]
)
def test_a_proof_beyond_the_end_of_the_log_is_not_found_and_no_damage(url: str, query: str) -> None:
    answer = httpx.get(f"{url}/v1/log/proof/{query}")
    assert (answer.status_code, answer.json()["code"]) == (404, "no_such_size")
