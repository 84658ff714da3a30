"""What a module calls public is what it defines, and nothing is public by accident."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

from tests import tree

EVERY_MODULE = [path for package in tree.PACKAGES for path in tree.modules(package)]
PUBLIC_MODULES = [
    path
    for path in EVERY_MODULE
    if not any(part.startswith("_") for part in path.relative_to(tree.ROOT).with_suffix("").parts)
]
PACKAGE_FILES = [path for path in EVERY_MODULE if path.name == "__init__.py"]


def _targets(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.AnnAssign):
        return [node.target.id] if isinstance(node.target, ast.Name) and node.value is not None else []
    if isinstance(node, ast.Assign):
        found = [each for target in node.targets for each in ast.walk(target)]
        return [each.id for each in found if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)]
    if isinstance(node, ast.If | ast.Try | ast.With):
        inner: list[ast.stmt] = [*node.body, *getattr(node, "orelse", []), *getattr(node, "finalbody", [])]
        for handler in getattr(node, "handlers", []):
            inner += handler.body
        return [each for child in inner for each in _targets(child)]
    return []


def defined(tree_: ast.Module) -> set[str]:
    """The public names a module binds at its top level: not what it imports, not what begins with _."""
    names = {each for node in tree_.body for each in _targets(node)}
    # `import fcntl`, and `fcntl = None` where there is none, binds an import all the same.
    imports = [node for node in ast.walk(tree_) if isinstance(node, ast.Import | ast.ImportFrom)]
    names -= {alias.asname or alias.name for node in imports for alias in node.names}
    return {each for each in names if not each.startswith("_")}


def declared(tree_: ast.Module) -> ast.expr | None:
    for node in tree_.body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and "__all__" in _targets(node):
            return node.value
    return None


@pytest.mark.parametrize("path", EVERY_MODULE, ids=tree.name)
def test_all_is_a_tuple_of_names_without_doubles(path: Path) -> None:
    if path.name == "__main__.py" or (path not in PUBLIC_MODULES and path.name != "__init__.py"):
        return
    value = declared(tree.parse(path))
    assert value is not None, f"{tree.name(path)} has no __all__"
    assert isinstance(value, ast.Tuple), f"{tree.name(path)}: __all__ is not written as a tuple"
    names = ast.literal_eval(value)
    assert all(isinstance(each, str) for each in names)
    assert len(set(names)) == len(names), f"{tree.name(path)}: __all__ names something twice"


@pytest.mark.parametrize("path", PUBLIC_MODULES, ids=tree.name)
def test_all_is_exactly_what_the_module_defines(path: Path) -> None:
    parsed = tree.parse(path)
    value = declared(parsed)
    assert value is not None, f"{tree.name(path)} has no __all__"
    names, found = set(ast.literal_eval(value)), defined(parsed)
    assert not found - names, (
        f"{tree.name(path)} defines {sorted(found - names)}: add to __all__, or begin with _"
    )
    assert not names - found, (
        f"{tree.name(path)} names {sorted(names - found)} in __all__ without defining it"
    )


@pytest.mark.parametrize("path", PACKAGE_FILES, ids=tree.name)
def test_what_a_package_exports_is_there(path: Path) -> None:
    package = importlib.import_module(tree.dotted(path))
    missing = [each for each in package.__all__ if not hasattr(package, each)]
    assert not missing, f"{tree.name(path)}: __all__ names {missing}, which importing it does not bring"


@pytest.mark.parametrize("path", EVERY_MODULE, ids=tree.name)
def test_a_module_says_what_it_is_for(path: Path) -> None:
    assert ast.get_docstring(tree.parse(path)), f"{tree.name(path)} has no docstring"
