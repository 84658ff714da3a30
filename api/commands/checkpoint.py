"""``progress-ledger checkpoint``: sign the log's head, so that it can be held against the log later.

A checkpoint is worth what its keeper is worth: print it, mail it, give it to a witness. Kept only beside the
log it proves nothing against whoever owns both.
"""

import argparse
import os
import sys
import time
from pathlib import Path

from progress_ledger.ledger.audit.note import new_signer
from progress_ledger.ledger.audit.tree import Tree

from ..console.terminal import write_json
from .file import add_db, db_of, open_file, read_signer, read_text
from .loop import run_loop
from .source import Commands, Usage

__all__ = ("add_parser",)


def add_parser(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser("checkpoint", help="sign the head of the log", description=__doc__)
    add_db(parser)
    do = parser.add_mutually_exclusive_group()
    do.add_argument(
        "--new-key",
        metavar="FILE",
        help="make a key, in a file that only you can read; prints its public half",
    )
    do.add_argument(
        "--witness", metavar="FILE", help="keep the signatures that others put under a checkpoint of this log"
    )
    do.add_argument("--list", action="store_true", help="list the checkpoints made so far")
    parser.add_argument(
        "--key", metavar="FILE", help="the private key to sign with; without it the bare head is kept"
    )
    parser.add_argument(
        "--origin", metavar="NAME", help="with --new-key: the log's name (default: progress-ledger/EPOCH)"
    )
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    if arguments.new_key is not None:
        run_loop(_new_key, arguments)
    else:
        run_loop(_checkpoint, arguments)
    return 0


async def _new_key(arguments: argparse.Namespace) -> None:
    path = Path(arguments.new_key)
    origin = arguments.origin
    if origin is None:
        db = db_of(arguments.db)
        if path.resolve().parent == db.resolve().parent:
            raise Usage(
                f"{path} lies beside the log, where whoever takes the log takes the key; name another folder "
                "(or give --origin to say that you mean it)."
            )
        async with open_file(db) as log:
            origin = Tree(log).origin
    signer = new_signer(origin)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise Usage(f"{path} exists; a key is never overwritten.") from None
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(signer.secret_text + "\n")
        file.flush()
        os.fsync(file.fileno())
    if arguments.json:
        write_json({"file": str(path), "public_key": signer.public.text, "origin": origin})
    else:
        print(signer.public.text)


async def _checkpoint(arguments: argparse.Namespace) -> None:
    async with open_file(db_of(arguments.db)) as log:
        tree = Tree(log)
        if arguments.witness is not None:
            added = await tree.add_witness_lines(read_text(arguments.witness))
            write_json({"added": added})
            return
        if arguments.list:
            for one in await tree.checkpoints():
                write_json(
                    {"size": one.size, "root": one.root.hex(), "time": one.time, "signed": "\n\n" in one.note}
                )
            return
        made = await tree.checkpoint(read_signer(arguments.key), now=time.time())
        note = await tree.note(made)
        if arguments.json:
            write_json({"size": made.size, "root": made.root.hex(), "time": made.time, "note": note})
        else:
            sys.stdout.write(note)
