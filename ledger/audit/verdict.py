"""Verify what was handed out, and take it in: bundles against their proof, and into another ledger.

Both read the bundle from its first line to its last in constant memory. What does not verify is not imported.
"""

import base64
import gzip
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

import msgspec

from ..errors import Unavailable
from .bundle import BundleDamaged, BundleEvent, BundleReader, Manifest, parse_manifest
from .note import Checkpoint, InvalidNote, VerifierKey, parse_checkpoint, parse_note
from .verify import MAX_FINDINGS, Finding, Row, RuleCheck

__all__ = ("BundleReport", "open_bundle", "verify_bundle")

_ROWS = 256


class BundleReport(msgspec.Struct, kw_only=True):
    """The verdict on a bundle. ``runs`` counts those it shows, ``whole`` those from first event to end."""

    ok: bool
    epoch: str
    events: int
    size: int
    root: str
    runs: int = 0
    whole: int = 0
    signed: bool = False
    trusted: int = 0
    trusted_by: str = ""
    findings: list[Finding]


@contextmanager
def open_bundle(path: Path) -> Generator[tuple[Manifest, Iterator[bytes]]]:
    """The manifest of an events file and its lines; packed or not. Raises BundleDamaged or Unavailable."""
    events = Path(str(path).removesuffix(".manifest.json"))
    manifest = events.with_name(events.name + ".manifest.json")
    for file in (events, manifest):
        if not file.is_file():
            raise Unavailable(f"There is no {file}; a bundle is the events file and the manifest beside it.")
    with events.open("rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        opened = cast("IO[bytes]", gzip.GzipFile(fileobj=raw)) if packed else raw
        yield parse_manifest(manifest.read_bytes()), _lines(opened)


def _lines(file: IO[bytes]) -> Iterator[bytes]:
    try:
        yield from file
    except (EOFError, OSError) as error:
        raise BundleDamaged(f"The events file cannot be unpacked to its end: {error}.") from None


def verify_bundle(
    path: Path,
    *,
    kept: Sequence[Checkpoint] = (),
    notes: Sequence[str] = (),
    key: VerifierKey | None = None,
    on_event: Callable[[BundleEvent], object] | None = None,
) -> BundleReport:
    """The whole verdict on the bundle at ``path`` (its events file). ``on_event`` sees each event on the way,
    before it is known whether it holds."""
    held = [*kept, *(parse_checkpoint(note) for note in notes)]
    findings: list[Finding] = []
    rules = RuleCheck()
    numbers: dict[str, tuple[int, int]] = {}
    partial: set[str] = set()
    ended = 0
    with open_bundle(path) as (manifest, lines):
        reader = BundleReader(manifest, sizes=[one.size for one in held])
        rows: list[Row] = []
        offsets: dict[int, int] = {}

        def check() -> int:
            before = len(rules.findings)
            over = len(rules.feed(rows))
            for finding in rules.findings[before:]:
                finding.start = offsets.get(finding.position or 0)
            rows.clear()
            offsets.clear()
            return over

        try:
            for offset, event in reader.events(lines):
                number, last = numbers.get(event.run_id, (len(numbers) + 1, 0))
                if not last and event.version != 1:
                    partial.add(event.run_id)
                numbers[event.run_id] = number, event.position
                if event.run_id not in partial:
                    rows.append((event.position, number, last, event.body))
                    offsets[event.position] = offset
                    if len(rows) == _ROWS:
                        ended += check()
                if on_event is not None:
                    on_event(event)
        except BundleDamaged as error:
            findings.append(_finding(error))
        ended += check()
    findings += rules.findings
    if not findings:
        findings += _against(manifest, reader, held, notes, key)
    good = [one.size for one in held if reader.roots.get(one.size) == one.root]
    signed = key is not None and not findings
    return BundleReport(
        ok=not findings,
        epoch=manifest.epoch,
        events=manifest.events,
        size=manifest.size,
        root=base64.b64decode(manifest.root).hex(),
        runs=len(numbers),
        whole=ended,
        signed=signed,
        trusted=max(good, default=0) or (manifest.size if not findings else 0),
        trusted_by="the checkpoint you hold"
        if good
        else "the key you gave"
        if signed
        else "the bundle itself alone",
        findings=findings[:MAX_FINDINGS],
    )


def _against(
    manifest: Manifest,
    reader: BundleReader,
    held: Sequence[Checkpoint],
    notes: Sequence[str],
    key: VerifierKey | None,
) -> list[Finding]:
    findings: list[Finding] = []
    if key is not None:
        shown = [(manifest.checkpoint, "the bundle's checkpoint")]
        for note, whose in shown + [(note, "the checkpoint you hold") for note in notes]:
            try:
                good = key.signed(parse_note(note))
            except InvalidNote:
                good = False
            if not good:
                findings.append(Finding(kind="bad_signature", message=f"The key did not sign {whose}."))
    for one in held:
        if one.size > reader.head.size:
            message = (
                f"You hold a checkpoint of {one.size} events, the bundle speaks of {reader.head.size}: "
                "ask for one made later."
            )
            findings.append(Finding(kind="rolled_back", message=message))
        elif one.size not in reader.roots:
            message = f"The bundle does not pass size {one.size}, where your checkpoint is; ask for another."
            findings.append(Finding(kind="not_comparable", message=message))
        elif reader.roots[one.size] != one.root:
            message = f"The first {one.size} events are not those of the checkpoint that you hold."
            findings.append(Finding(kind="history_rewritten", message=message))
    return findings


def _finding(error: BundleDamaged) -> Finding:
    return Finding(
        kind=error.code,
        message=str(error),
        position=error.position,
        run_id=error.run_id,
        start=error.start,
        end=error.end,
    )
