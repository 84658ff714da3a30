"""What a monitor runs: an implementation of the format that is not ours, in a Python of its own (>= 3.12)."""

import json
import sys

from aics_tlog import (  # type: ignore[import-not-found]  # pyright: ignore[reportMissingImports] - in a Python of its own
    HttpTileReader,
    audit_tiles,
    consistency_proof_from_tiles,
    parse_checkpoint,
    parse_note,
    parse_vkey,
    verify_checkpoint,
    verify_consistency,
)


def main() -> None:
    base, vkey, old = sys.argv[1:4]
    reader = HttpTileReader(base, proxies={})
    note = parse_note(reader.read_checkpoint().decode())
    verdict = verify_checkpoint(note, parse_vkey(vkey))
    if not verdict.ok:
        sys.exit(f"checkpoint: {verdict}")
    head = parse_checkpoint(note.text)
    report = audit_tiles(reader, head.size, head.root)
    consistent = None
    if old:
        kept = parse_checkpoint(parse_note(old).text)
        proof = consistency_proof_from_tiles(reader, kept.size, head.size)
        consistent = verify_consistency(kept.size, head.size, kept.root, head.root, proof)
        if not consistent:
            sys.exit("consistency: the log does not extend the kept checkpoint")
    print(json.dumps({"size": report.size, "tiles": report.tiles, "bundles": report.bundles}))


main()
