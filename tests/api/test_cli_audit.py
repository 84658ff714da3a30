"""The commands about history are all there."""

from progress_ledger.api.cli import main
from progress_ledger.api.cli_audit import AUDIT_COMMANDS


def test_each_has_a_parser_and_explains_itself(capsys: object) -> None:
    for command in AUDIT_COMMANDS:
        name = command.__name__.rpartition("cli_")[2]
        assert main([name, "--help"]) == 0
