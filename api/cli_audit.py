"""The commands for auditors and for those who answer to them."""

from . import cli_backup, cli_checkpoint, cli_export, cli_import, cli_prune, cli_verify

__all__ = ("AUDIT_COMMANDS",)

AUDIT_COMMANDS = (cli_export, cli_import, cli_verify, cli_checkpoint, cli_prune, cli_backup)
"""Command modules in the order of the help."""
