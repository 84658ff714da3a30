"""The commands about history are all there."""

from progress_ledger.api.cli import main
from progress_ledger.api.commands.audit import AUDIT_COMMANDS


def test_each_has_a_parser_and_explains_itself(capsys: object) -> None:
    for command in AUDIT_COMMANDS:
        name = command.__name__.rpartition(".")[2]
        # a module cannot be called as the statement is
        name = "import" if name == "importing" else name
        assert main([name, "--help"]) == 0
