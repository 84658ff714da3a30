"""The commands about history: for auditors, and for those who answer to them."""

from . import (
    cli_backup,
    cli_checkpoint,
    cli_diff,
    cli_export,
    cli_import,
    cli_prune,
    cli_replay,
    cli_verify,
)

__all__ = ("AUDIT_COMMANDS",)

AUDIT_COMMANDS = (
    cli_diff,
    cli_replay,
    cli_export,
    cli_import,
    cli_verify,
    cli_checkpoint,
    cli_prune,
    cli_backup,
)
"""Command modules in the order of the help."""
