"""The commands about history: for auditors, and for those who answer to them."""

from . import backup, checkpoint, diff, export, importing, prune, replay, verify

__all__ = ("AUDIT_COMMANDS",)

AUDIT_COMMANDS = (
    diff,
    replay,
    export,
    importing,
    verify,
    checkpoint,
    prune,
    backup,
)
"""Command modules in the order of the help."""
