"""The source tree as the tests about it see it: packages, modules and imports, read without running."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
# Lowest layer first: a package may import itself and what stands before it.
PACKAGES = ("ledger", "projections", "api")


class Import(NamedTuple):
    """One imported module by its absolute name, also where it was written with dots."""

    module: str
    line: int
    relative: bool


def modules(package: str) -> list[Path]:
    """Every Python file below a top-level folder, in a stable order."""
    return sorted((ROOT / package).rglob("*.py"))


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def dotted(path: Path) -> str:
    """``ledger/x.py`` as it is imported: ``progress_ledger.ledger.x``."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    if parts[-1] == "__init__":
        parts = parts[:-1]
    return ".".join(("progress_ledger", *parts) if parts[0] in PACKAGES else parts)


def imports(path: Path, tree: ast.Module | None = None) -> Iterator[Import]:
    """Every import of a file wherever it stands, also inside functions and under TYPE_CHECKING."""
    here = dotted(path).split(".")
    package = here if path.name == "__init__.py" else here[:-1]
    for node in ast.walk(tree or parse(path)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno, relative=False)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield Import(module, node.lineno, relative=bool(node.level))
            # `from progress_ledger import api` imports a package by its name in the list.
            for alias in node.names:
                yield Import(f"{module}.{alias.name}", node.lineno, relative=bool(node.level))
