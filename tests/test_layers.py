"""The imports of the tree point down, and what is costly or foreign is imported in one place."""

from __future__ import annotations

import fnmatch
from pathlib import Path

import pytest

from tests import tree

MAX_LINES = 400

# top-level import -> the files that may have it
CONFINED = {
    "starlette": ("api/*",),
    "uvicorn": ("api/*",),
    "aiosqlite": ("ledger/sqlite/*",),
}

FILES = [path for package in tree.PACKAGES for path in tree.modules(package)]
EVERYTHING = FILES + tree.modules("tests") + tree.modules("benchmarks") + tree.modules("docs")


def _package(path: Path) -> str:
    return path.relative_to(tree.ROOT).parts[0]


def _room(path: Path) -> str:
    """The folders between a package and a module: none for what lies at the package's top."""
    return "/".join(path.relative_to(tree.ROOT).parts[1:-1])


@pytest.mark.parametrize("package", tree.PACKAGES)
def test_imports_point_down(package: str) -> None:
    above = tree.PACKAGES[tree.PACKAGES.index(package) + 1 :]
    wrong = {
        f"{tree.name(path)}:{found.line} imports {found.module}: {package} may not know of {layer}"
        for path in tree.modules(package)
        for found in tree.imports(path)
        for layer in above
        if f"{found.module}.".startswith(f"progress_ledger.{layer}.")
    }
    assert not wrong, "\n".join(sorted(wrong))


@pytest.mark.parametrize("library", CONFINED)
def test_a_confined_library_is_imported_only_where_it_belongs(library: str) -> None:
    allowed = CONFINED[library]
    wrong = {
        f"{tree.name(path)}:{found.line} imports {found.module}: only {' and '.join(allowed)} may"
        for path in FILES
        for found in tree.imports(path)
        if found.module.split(".")[0] == library
        and not any(fnmatch.fnmatch(tree.name(path), pattern) for pattern in allowed)
    }
    assert not wrong, "\n".join(sorted(wrong))


def test_nobody_imports_a_package_by_its_bare_name() -> None:
    wrong = {
        f"{tree.name(path)}:{found.line} imports {found.module}: write progress_ledger.{found.module}, "
        "a bare name loads a second copy"
        for path in EVERYTHING
        for found in tree.imports(path)
        if not found.relative and found.module.split(".")[0] in tree.PACKAGES
    }
    assert not wrong, "\n".join(sorted(wrong))


def test_siblings_are_imported_relatively() -> None:
    wrong = {
        f"{tree.name(path)}:{found.line} imports {found.module}: inside {_package(path)} write it "
        "with a dot, else type checkers see the module twice"
        for path in FILES
        for found in tree.imports(path)
        if not found.relative and f"{found.module}.".startswith(f"progress_ledger.{_package(path)}.")
    }
    assert not wrong, "\n".join(sorted(wrong))


def test_relative_imports_stay_inside_their_package() -> None:
    wrong = {
        f"{tree.name(path)}:{found.line} imports {found.module}: another package is imported by its full name"
        for path in FILES
        for found in tree.imports(path)
        if found.relative and not f"{found.module}.".startswith(f"progress_ledger.{_package(path)}.")
    }
    assert not wrong, "\n".join(sorted(wrong))


def test_a_room_imports_nothing_by_itself() -> None:
    # else rooms that know of each other import each other in circles, and each costs what all cost
    wrong = {
        f"{tree.name(path)}:{found.line} imports {found.module}: import it where it is used"
        for path in FILES
        if path.name == "__init__.py" and _room(path) not in ("", "sqlite")
        for found in tree.imports(path)
    }
    assert not wrong, "\n".join(sorted(wrong))


def test_no_module_is_longer_than_the_limit() -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    wrong = [
        f"{tree.name(path)} has {lines} lines, the limit is {MAX_LINES}: split it by noun"
        for path, lines in lengths.items()
        if lines > MAX_LINES
    ]
    assert not wrong, "\n".join(wrong)


def test_the_top_level_is_exactly_the_house() -> None:
    house = {"pyproject.toml", "README.md", "LICENSE", *tree.PACKAGES, "tests", "benchmarks", "docs"}
    # What tools leave behind is git's business: .gitignore names it.
    left_by_tools = {"dist", "build", "htmlcov"}
    there = {
        entry.name
        for entry in tree.ROOT.iterdir()
        if not entry.name.startswith(".")
        and entry.name not in left_by_tools
        # the default file of a ledger opened here by hand, with its -wal and -shm
        and not fnmatch.fnmatch(entry.name, "*.db*")
        and entry.name != "__pycache__"
    }
    assert there == house


def test_the_development_links_are_relative_and_point_at_the_packages() -> None:
    links = tree.ROOT / ".dev" / "progress_ledger"
    assert {link.name: link.readlink().as_posix() for link in links.iterdir()} == {
        package: f"../../{package}" for package in tree.PACKAGES
    }
    assert not (links / "__init__.py").exists(), "progress_ledger is a namespace package"
