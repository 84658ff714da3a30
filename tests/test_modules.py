"""Each module has its test module, found by its name."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import tree


def _expected(path: Path) -> Path:
    inner = path.relative_to(tree.ROOT)
    return tree.ROOT / "tests" / inner.parent / f"test_{inner.name}"


def _has_tests(path: Path) -> bool:
    lines = path.read_text(encoding="utf-8").splitlines()
    return any(line.lstrip().startswith(("def test_", "async def test_")) for line in lines)


@pytest.mark.parametrize("package", tree.PACKAGES)
def test_every_module_has_its_test_module(package: str) -> None:
    missing = [
        f"{tree.name(path)} has no {tree.name(_expected(path))}"
        for path in tree.modules(package)
        if not path.name.startswith("_") and not _expected(path).is_file()
    ]
    assert not missing, "\n".join(missing)


@pytest.mark.parametrize("package", tree.PACKAGES)
def test_no_test_module_is_empty(package: str) -> None:
    empty = [
        f"{tree.name(_expected(path))} holds no test"
        for path in tree.modules(package)
        if _expected(path).is_file() and not _has_tests(_expected(path))
    ]
    assert not empty, "\n".join(empty)
