"""What the documentation says is true: its Python runs, its links lead somewhere, its paths exist.

Blocks marked ``python`` are run, page by page, each page in a process and an empty folder of its own; blocks
of a page share their names and may ``await``. What a reader need not see stands in a comment that opens with
``<!-- python`` on a line of its own. A block that cannot run is opened with ``python no-run: the reason``.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests import tree

PAGES = [tree.ROOT / "README.md", *sorted((tree.ROOT / "docs").rglob("*.md"))]

FENCE = re.compile(
    r"^(?P<indent> *)(?P<ticks>```+)(?P<info>[^\n`]*)\n(?P<body>.*?)^ *(?P=ticks) *$",
    re.MULTILINE | re.DOTALL,
)
HIDDEN = re.compile(r"^<!-- python\n(?P<body>.*?)^-->$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"""\]\((?P<target>[^)\s]+)[^)]*\)|(?:src|href)="(?P<attribute>[^"]+)\"""")
HEADING = re.compile(r"^#+ +(?P<text>.+?) *#*$", re.MULTILINE)
# `ledger/errors.py` or `.ci/run` in back-quotes; what holds <, * or … is a pattern, not a path
PATH = re.compile(r"`(?P<path>(?:ledger|projections|api|tests|benchmarks|docs|\.ci|\.dev)/[\w./-]*)`")
BENCHMARK = re.compile(r"-m benchmarks\.(?P<name>\w+)")

RUNNER = """
import ast, asyncio, inspect, json, sys
names = {"__name__": "__main__"}
with asyncio.Runner() as runner:
    for place, line, text in json.load(sys.stdin):
        code = compile("\\n" * line + text, place, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        if code.co_flags & inspect.CO_COROUTINE:
            async def block(result):
                await result
            runner.run(block(eval(code, names)))
        else:
            exec(code, names)
"""


class Block(NamedTuple):
    line: int
    """Lines before the first one of the block."""
    text: str


def _read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def _prose(page: Path) -> str:
    return FENCE.sub("", _read(page))


def _dedent(body: str, indent: str) -> str:
    return "".join(line.removeprefix(indent) for line in body.splitlines(keepends=True))


def _blocks(page: Path) -> Iterator[Block]:
    text = _read(page)
    for found in sorted([*FENCE.finditer(text), *HIDDEN.finditer(text)], key=re.Match[str].start):
        line = text.count("\n", 0, found.start("body"))
        if found.re is HIDDEN:
            yield Block(line, found["body"])
            continue
        language, _, rest = found["info"].strip().partition(" ")
        if language != "python":
            continue
        if rest:
            reason = rest.removeprefix("no-run:")
            assert reason != rest, (
                f"{tree.name(page)}:{line} is marked {rest!r}; known is 'no-run: the reason'"
            )
            assert reason.strip(), f"{tree.name(page)}:{line} is not run and says no reason"
            body = _dedent(found["body"], found["indent"])
            compile(body, tree.name(page), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            continue
        yield Block(line, _dedent(found["body"], found["indent"]))


def _anchors(page: Path) -> set[str]:
    anchors: set[str] = set()
    for heading in HEADING.finditer(_prose(page)):
        plain = re.sub(r"[`*]|\[([^]]*)\]\([^)]*\)", r"\1", heading["text"]).lower()
        slug = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        number = 1
        while (anchor := slug if number == 1 else f"{slug}-{number - 1}") in anchors:
            number += 1
        anchors.add(anchor)
    return anchors


def _links(page: Path) -> Iterator[tuple[Path, str]]:
    """The places in this tree that a page links to, each with its anchor."""
    for found in LINK.finditer(_prose(page)):
        target: str = found["target"] or found["attribute"]
        if re.match(r"[a-z][a-z0-9+.-]*:", target):
            continue
        path, _, anchor = target.partition("#")
        yield ((page.parent / path).resolve() if path else page), anchor


@pytest.mark.parametrize("page", PAGES, ids=tree.name)
def test_the_python_of_a_page_runs(page: Path, tmp_path: Path) -> None:
    blocks = [(tree.name(page), block.line, block.text) for block in _blocks(page)]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", RUNNER],
        input=json.dumps(blocks),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, f"{tree.name(page)}:\n{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize("page", PAGES, ids=tree.name)
def test_the_links_of_a_page_lead_somewhere(page: Path) -> None:
    broken: list[str] = []
    for target, anchor in _links(page):
        if not target.exists() or not target.is_relative_to(tree.ROOT):
            broken.append(f"{tree.name(page)} links to {target}, which is not in the tree")
        elif anchor and target.suffix == ".md" and anchor not in _anchors(target):
            broken.append(f"{tree.name(page)} links to #{anchor}, no heading of {tree.name(target)}")
    assert not broken, "\n".join(broken)


@pytest.mark.parametrize("page", PAGES, ids=tree.name)
def test_the_paths_a_page_names_exist(page: Path) -> None:
    named = {found["path"] for found in PATH.finditer(_prose(page))}
    named |= {f"benchmarks/{found['name']}.py" for found in BENCHMARK.finditer(_read(page))}
    missing = sorted(each for each in named if not (tree.ROOT / each).exists())
    assert not missing, f"{tree.name(page)} names {', '.join(missing)}: not in the tree"


def test_every_page_is_reached_from_the_readme() -> None:
    reached, waiting = set[Path](), [tree.ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached or page.suffix != ".md" or not page.is_file():
            continue
        reached.add(page)
        waiting.extend(target for target, _ in _links(page))
    lost = [tree.name(page) for page in PAGES if page not in reached]
    assert not lost, f"no page links to {', '.join(lost)}: add to docs/README.md"


def test_the_newest_version_of_the_changelog_is_the_version_of_the_project() -> None:
    project = tomllib.loads(_read(tree.ROOT / "pyproject.toml"))["project"]
    headings = [found["text"] for found in HEADING.finditer(_read(tree.ROOT / "docs" / "CHANGELOG.md"))]
    assert headings[1].split()[0] == project["version"]


def test_the_test_command_of_the_readme_is_marked_for_ci() -> None:
    found = re.search(r"<!-- test-command -->\n```sh\n([^\n]+)\n```\n<!-- /test-command -->", _read(PAGES[0]))
    assert found, "README.md has no single command between <!-- test-command --> and <!-- /test-command -->"
    assert "pytest" in found[1]
