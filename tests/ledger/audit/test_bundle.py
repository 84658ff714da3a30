"""A bundle proves its events; whatever is done to it is noticed, by our reader and by the script alone."""

import base64
import gzip
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from progress_ledger.ledger.audit import bundle, merkle
from progress_ledger.ledger.audit.note import Checkpoint, Signer, format_note

EPOCH = "0123456789abcdef"
ORIGIN = f"progress-ledger/{EPOCH}"


def body(run: str, version: int, kind: str, data: str = "{}") -> bytes:
    time = "2026-11-21T23:34:40.123456Z"
    line = f'{{"run_id":"{run}","version":{version},"time":"{time}","type":"{kind}","data":{data}}}'
    return line.encode()


def history(size: int) -> list[bytes]:
    """Two runs in turn and a third that never ends."""
    leaves: list[bytes] = []
    for index in range(size):
        run, version = "abc"[index % 3], index // 3 + 1
        last = index >= size - 3 and run != "c"
        kind = "started" if version == 1 else "completed" if last else "ticked"
        leaves.append(body(run, version, kind, f'{{"done":{version}}}' if kind == "ticked" else "{}"))
    return leaves


class Log:
    def __init__(self, leaves: list[bytes]) -> None:
        self.leaves = leaves
        self.grown = merkle.Edge()
        self.tiles = {(level, at): tile for level, at, tile in self.grown.append(merkle.leaf_hashes(leaves))}
        self.head = Checkpoint(ORIGIN, len(leaves), self.grown.root())

    def read(self, level: int, index: int) -> bytes:
        return self.tiles.get((level, index)) or self.grown.levels[level]

    def checkpoint(self, size: int) -> Checkpoint:
        return Checkpoint(ORIGIN, size, merkle.tree_root(self.read, size))

    def export(
        self,
        path: Path,
        *,
        run: bytes | None = None,
        signer: Signer | None = None,
        splits: tuple[int, ...] = (),
    ) -> Path:
        def subtree(start: int, width: int) -> bytes:
            return merkle.range_root(self.read, start, start + width)

        proof = bundle.BundleProof(self.head.size, subtree, splits=splits)
        lines: list[bytes] = []
        for index, leaf in enumerate(self.leaves):
            if run is None or leaf.startswith(b'{"run_id":"' + run):
                proof.add(index, merkle.leaf_hash(leaf))
                lines.append(b'{"position":%d,' % (index + 1) + leaf[1:] + b"\n")
        proof.finish()
        manifest = bundle.Manifest(
            format=bundle.BUNDLE_FORMAT,
            epoch=EPOCH,
            created="2026-11-22T00:00:00.000000Z",
            selection={"run": run.decode()} if run else {"all": "yes"},
            events=proof.events,
            size=self.head.size,
            root=base64.b64encode(self.head.root).decode(),
            checkpoint=format_note(self.head.text, [signer.line(self.head.text)] if signer else []),
            public_key=signer.public.text if signer else None,
            leaves=proof.leaves,
            hashes=proof.hashes,
            marks=proof.marks,
        )
        data = b"".join(lines)
        path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
        Path(f"{path}.manifest.json").write_bytes(manifest.encode())
        return path


def read(path: Path, sizes: tuple[int, ...] = ()) -> tuple[list[bundle.BundleEvent], dict[int, bytes]]:
    manifest = bundle.parse_manifest(Path(f"{path}.manifest.json").read_bytes())
    reader = bundle.BundleReader(manifest, sizes=sizes)
    with path.open("rb") as lines:
        return [event for _, event in reader.events(iter(lines))], reader.roots


def script(path: Path, *options: str, tmp: Path) -> subprocess.CompletedProcess[str]:
    """The verifier as an auditor runs it: an interpreter without any installed package."""
    program = tmp / "verify_bundle.py"
    program.write_text(bundle.verifier_script())
    command = [sys.executable, "-I", "-S", str(program), str(path), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("size", [1, 3, 7, 300, 1500])
def test_one_run_out_of_a_log_is_proven_whole(size: int, tmp_path: Path) -> None:
    log = Log(history(size))
    path = log.export(tmp_path / "a.ndjson", run=b"a")
    events, _ = read(path)
    assert [event.body for event in events] == [
        leaf for leaf in log.leaves if leaf.startswith(b'{"run_id":"a')
    ]
    said = script(path, tmp=tmp_path)
    assert said.returncode == 0, said.stderr
    assert "VERIFIED: 1 runs" in said.stdout
    assert ("whole, first event to end" in said.stdout) == (size > 3)


def test_a_whole_log_is_proven_packed_or_not(tmp_path: Path) -> None:
    log = Log(history(1000))
    path = log.export(tmp_path / "all.ndjson")
    events, _ = read(path)
    assert [event.body for event in events] == log.leaves
    assert script(log.export(tmp_path / "all.ndjson.gz"), tmp=tmp_path).returncode == 0


def test_a_kept_checkpoint_of_another_day_is_met_on_the_way(tmp_path: Path) -> None:
    log = Log(history(900))
    path = log.export(tmp_path / "b.ndjson", run=b"b", splits=(100, 512, 899))
    kept = tmp_path / "kept"
    for size in (100, 512, 899, 900):
        kept.write_text(log.checkpoint(size).text)
        assert read(path, (size,))[1] == {size: log.checkpoint(size).root}
        assert script(path, "--checkpoint", str(kept), tmp=tmp_path).returncode == 0
    kept.write_text(Checkpoint(ORIGIN, 512, bytes(32)).text)
    refused = script(path, "--checkpoint", str(kept), tmp=tmp_path)
    assert refused.returncode == 1
    assert "nothing shows that this log extends" in refused.stderr
    kept.write_text(Checkpoint(ORIGIN, 901, bytes(32)).text)
    assert script(path, "--checkpoint", str(kept), tmp=tmp_path).returncode == 1


def test_the_script_checks_signatures_by_itself(tmp_path: Path) -> None:
    pytest.importorskip("cryptography")
    path, signer = tmp_path / "a.ndjson", Signer(ORIGIN, b"s" * 32)
    for seed in range(6):
        signer, other = Signer(ORIGIN, bytes([seed]) * 32), Signer(ORIGIN, b"x" * 32)
        Log(history(10 + seed)).export(path, run=b"a", signer=signer)
        assert script(path, "--key", signer.public.text, tmp=tmp_path).returncode == 0
        assert "not signed with that key" in script(path, "--key", other.public.text, tmp=tmp_path).stderr
    forged = Path(f"{path}.manifest.json")
    text = forged.read_text()
    note = bundle.parse_manifest(text.encode()).checkpoint
    cut = note[:-10] + ("A" if note[-10] != "A" else "B") + note[-9:]
    forged.write_text(
        text.replace(note.replace("\n", "\\n").replace("—", "\\u2014"), cut.replace("\n", "\\n"))
    )
    assert forged.read_text() != text
    assert script(path, "--key", signer.public.text, tmp=tmp_path).returncode == 1


def _flip(text: bytes, old: bytes, new: bytes) -> bytes:
    assert old in text
    return text.replace(old, new, 1)


ATTACKS: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    "a value changed": lambda lines: [*lines[:5], _flip(lines[5], b'"done":6', b'"done":7'), *lines[6:]],
    "a time changed": lambda lines: [_flip(lines[0], b"23:34", b"23:35"), *lines[1:]],
    "a version changed": lambda lines: [
        *lines[:5],
        _flip(lines[5], b'"version":6', b'"version":7'),
        *lines[6:],
    ],
    "a position changed": lambda lines: [_flip(lines[0], b'"position":1,', b'"position":2,'), *lines[1:]],
    "a run renamed": lambda lines: [line.replace(b'"run_id":"a"', b'"run_id":"z"') for line in lines],
    "a type changed": lambda lines: [*lines[:-1], _flip(lines[-1], b"completed", b"cancelled")],
    "an event cut out": lambda lines: [*lines[:4], *lines[5:]],
    "the end cut off": lambda lines: lines[:-1],
    "an event twice": lambda lines: [*lines[:4], lines[4], *lines[4:]],
    "an event added": lambda lines: [*lines, lines[-1]],
    "two swapped": lambda lines: [lines[0], lines[2], lines[1], *lines[3:]],
    "a space added": lambda lines: [_flip(lines[0], b'"data":{', b'"data": {'), *lines[1:]],
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_changed_bundle_is_refused_by_reader_and_script(attack: str, tmp_path: Path) -> None:
    path = Log(history(60)).export(tmp_path / "a.ndjson", run=b"a")
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(ATTACKS[attack](lines)))
    with pytest.raises(bundle.BundleDamaged):
        read(path)
    assert script(path, tmp=tmp_path).returncode == 1


def test_the_reader_names_the_changed_event_and_its_bytes(tmp_path: Path) -> None:
    path = Log(history(60)).export(tmp_path / "a.ndjson", run=b"a")
    lines = path.read_bytes().splitlines(keepends=True)
    lines[7] = _flip(lines[7], b'"done":8', b'"done":9')
    path.write_bytes(b"".join(lines))
    with pytest.raises(bundle.BundleDamaged, match="position 22 of run a") as caught:
        read(path)
    start, end = caught.value.start, caught.value.end
    assert path.read_bytes()[start:end] == lines[7]
    assert (caught.value.position, caught.value.run_id) == (22, "a")


@pytest.mark.parametrize("field", ["root", "hashes", "leaves", "size", "checkpoint", "format"])
def test_a_forged_manifest_is_refused(field: str, tmp_path: Path) -> None:
    path = Log(history(60)).export(tmp_path / "a.ndjson", run=b"a")
    file = Path(f"{path}.manifest.json")
    manifest = bundle.parse_manifest(file.read_bytes())
    zero = base64.b64encode(bytes(32)).decode()
    changes: dict[str, object] = {
        "root": zero,
        "hashes": [*manifest.hashes[:-1], zero],
        "leaves": manifest.leaves[:-1],
        "size": 61,
        "checkpoint": manifest.checkpoint.replace("\n60\n", "\n61\n"),
        "format": "progress-ledger-bundle/2",
    }
    setattr(manifest, field, changes[field])
    file.write_bytes(manifest.encode())
    with pytest.raises(bundle.BundleDamaged):
        read(path)


def test_the_script_is_short_and_uses_the_standard_library_alone() -> None:
    source = bundle.verifier_script()
    assert len(source.splitlines()) <= 150
    imported = {
        line.split()[1].split(".")[0] for line in source.splitlines() if line.startswith(("import", "from"))
    }
    assert imported <= sys.stdlib_module_names


def test_a_proof_of_many_gaps_waits_on_the_disk(tmp_path: Path) -> None:
    gaps = 40_000
    proof = bundle.BundleProof(2 * gaps, lambda start, width: bytes(32), folder=tmp_path)
    tracemalloc.start()
    try:
        for index in range(1, 2 * gaps, 2):
            proof.add(index, bytes(32))
        proof.finish()
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(proof.leaves) == len(proof.hashes) == gaps
    # As tuples and texts they would take some two hundred bytes each.
    assert most < gaps * 80


def test_the_script_says_in_a_sentence_what_it_cannot_read(tmp_path: Path) -> None:
    path = Log(history(7)).export(tmp_path / "a.ndjson")
    problem = tmp_path / "kept.txt"
    problem.write_text('{"status":401}')
    for said, *options in (
        ("'abc' is no Ed25519 key", "--key", "abc"),
        ("this is no checkpoint: '{\"status\":401}'", "--checkpoint", str(problem)),
        ("No such file or directory", "--checkpoint", str(tmp_path / "none")),
    ):
        done = script(path, *options, tmp=tmp_path)
        assert done.returncode == 1
        assert done.stderr.startswith("NOT VERIFIED: ")
        assert said in done.stderr
        assert "Traceback" not in done.stderr
