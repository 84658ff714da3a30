"""The commands for auditors and for those who answer to them."""

from . import cli_checkpoint, cli_export, cli_prune, cli_verify

__all__ = ("AUDIT_COMMANDS",)

AUDIT_COMMANDS = (cli_export, cli_verify, cli_checkpoint, cli_prune)
"""Command modules in the order of the help."""
