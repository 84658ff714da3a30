"""The served log is what the file holds, in the published form; what is not there is a problem."""

import base64
import json
import sqlite3
from pathlib import Path

import pytest

from progress_ledger.ledger.audit import merkle
from progress_ledger.ledger.audit.note import new_signer, parse_checkpoint, parse_note
from progress_ledger.ledger.audit.tiles import parse_entries
from progress_ledger.ledger.audit.tree import Tree
from progress_ledger.ledger.audit.verdict import verify_bundle
from progress_ledger.ledger.sqlite import SQLiteLog
from progress_ledger.ledger.sqlite import prune as sqlite_prune
from tests.api.asking import Api
from tests.ledger.histories import fill

pytestmark = pytest.mark.anyio

_ROW = "SELECT number, run_id, first, last, version FROM run WHERE run_id = 'run-1'"


def tree_of(asked: Api) -> Tree:
    assert isinstance(asked.ledger.log, SQLiteLog)
    return Tree(asked.ledger.log)


async def test_tiles_and_entries_are_the_stored_bytes_and_their_hashes(asked: Api) -> None:
    await fill(asked.ledger, runs=3, ticks=90)
    head = (await asked.http.get("/v1/log")).json()
    assert head["size"] == 276
    full = await asked.http.get("/v1/log/tile/0/000")
    assert full.headers["content-type"] == "application/octet-stream"
    assert "immutable" in full.headers["cache-control"]
    part = (await asked.http.get("/v1/log/tile/0/001.p/20")).content
    entries = parse_entries((await asked.http.get("/v1/log/tile/entries/000")).content)
    entries += parse_entries((await asked.http.get("/v1/log/tile/entries/001.p/20")).content)
    assert merkle.leaf_hashes(entries) == full.content + part
    edge = merkle.Edge()
    edge.append(full.content + part)
    assert base64.b64encode(edge.root()).decode() == head["root"]
    assert (await asked.http.get("/v1/log/tile/1/000.p/1")).content == merkle.reduce_hashes(full.content)


@pytest.mark.parametrize(
    "path",
    ["tile/0/001", "tile/0/001.p/200", "tile/0/1", "tile/64/000", "tile/entries/009", "tile/x", "tile/5/000"],
)
async def test_a_tile_that_is_not_there_is_404(asked: Api, path: str) -> None:
    await fill(asked.ledger)
    reply = await asked.http.get(f"/v1/log/{path}")
    assert (reply.status_code, reply.json()["code"]) == (404, "not_found")


async def test_an_inclusion_proof_verifies_for_an_event_by_position_and_by_run(asked: Api) -> None:
    await fill(asked.ledger)
    by_place = (await asked.http.get("/v1/log/proof/inclusion?position=8")).json()
    by_run = (await asked.http.get("/v1/log/proof/inclusion?run=run-1&version=3")).json()
    assert by_place == by_run
    (stored,) = await asked.ledger.log.read(7, limit=1)
    assert stored[1] is not None
    proof = [base64.b64decode(step) for step in by_place["proof"]]
    leaf, root = merkle.leaf_hash(stored[1]), base64.b64decode(by_place["root"])
    assert merkle.verify_inclusion(leaf, 7, by_place["size"], proof, root)


async def test_a_consistency_proof_verifies(asked: Api) -> None:
    await fill(asked.ledger)
    told = (await asked.http.get("/v1/log/proof/consistency?old=5")).json()
    roots = [base64.b64decode(told[name]) for name in ("old_root", "new_root")]
    proof = [base64.b64decode(step) for step in told["proof"]]
    assert merkle.verify_consistency(5, told["new"], proof, *roots)


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("inclusion", 400),
        ("inclusion?position=0", 400),
        ("inclusion?position=3&size=2", 404),
        ("inclusion?run=nobody", 404),
        ("inclusion?run=run-0&version=99", 404),
        ("consistency?old=9&new=2", 404),
        ("consistency?old=x", 400),
    ],
)
async def test_what_cannot_be_proven_is_refused(asked: Api, query: str, status: int) -> None:
    await fill(asked.ledger)
    reply = await asked.http.get(f"/v1/log/proof/{query}")
    assert (reply.status_code, reply.headers["content-type"]) == (status, "application/problem+json")


async def test_the_checkpoint_is_the_newest_that_was_signed(asked: Api) -> None:
    pytest.importorskip("cryptography")
    tree = tree_of(asked)
    await fill(asked.ledger)
    none = await asked.http.get("/v1/log/checkpoint")
    assert (none.status_code, none.json()["code"]) == (404, "no_checkpoint")
    signer = new_signer(tree.origin)
    made = await tree.checkpoint(signer, now=1.0)
    reply = await asked.http.get("/v1/log/checkpoint")
    assert reply.headers["content-type"].startswith("text/plain")
    assert signer.public.signed(parse_note(reply.text))
    assert parse_checkpoint(reply.text).size == made.size


async def test_a_run_s_manifest_and_its_events_are_a_bundle(asked: Api, tmp_path: Path) -> None:
    await fill(asked.ledger)
    events = await asked.http.get("/v1/runs/run-1/events", headers={"accept": "application/x-ndjson"})
    manifest = await asked.http.get("/v1/log/runs/run-1")
    (tmp_path / "a.ndjson").write_bytes(events.content)
    (tmp_path / "a.ndjson.manifest.json").write_bytes(manifest.content)
    report = verify_bundle(tmp_path / "a.ndjson")
    assert report.ok, report.findings
    assert report.whole == 1
    assert json.loads(manifest.content)["selection"] == {"run": "run-1"}
    assert (await asked.http.get("/v1/log/runs/nobody")).status_code == 404


async def test_a_bundle_with_pruned_entries_is_gone_and_what_remains_is_served(asked: Api) -> None:
    await fill(asked.ledger, runs=3, ticks=90)
    log = asked.ledger.log
    assert isinstance(log, SQLiteLog)
    await asked.http.get("/v1/log")
    whole = parse_entries((await asked.http.get("/v1/log/tile/entries/000")).content)
    tile = (await asked.http.get("/v1/log/tile/0/000")).content

    def strip(connection: sqlite3.Connection) -> None:
        run = sqlite_prune.Finished(*connection.execute(_ROW).fetchone())
        assert sqlite_prune.mark_pruned(connection, run, "")
        assert sqlite_prune.strip(connection, run, run.last, 1000) == 0

    await log.on_writer(strip)
    gone = await asked.http.get("/v1/log/tile/entries/000")
    assert (gone.status_code, gone.json()["code"]) == (410, "pruned")
    assert "/v1/log/remaining/000" in gone.json()["detail"]
    assert (await asked.http.get("/v1/log/tile/0/000")).content == tile
    left = parse_entries((await asked.http.get("/v1/log/remaining/000")).content)
    lost = [at for at, leaf in enumerate(left) if not leaf]
    assert len(lost) == sum(b'"run_id":"run-1"' in leaf for leaf in whole)
    for at, leaf in enumerate(left):
        assert leaf in (b"", whole[at])
        assert not leaf or merkle.leaf_hash(leaf) == tile[at * 32 : at * 32 + 32]
    part = await asked.http.get("/v1/log/remaining/001.p/20")
    assert len(parse_entries(part.content)) == 20


@pytest.mark.parametrize("path", ["1", "000.p/0", "x", "009"])
async def test_what_remains_of_a_bundle_that_is_not_there_is_404(asked: Api, path: str) -> None:
    await fill(asked.ledger)
    assert (await asked.http.get(f"/v1/log/remaining/{path}")).status_code == 404
