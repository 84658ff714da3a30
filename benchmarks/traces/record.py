"""Record progress traces of real work: `python -m benchmarks.traces.record [--kind NAME] [--runs 3] [--out
DIR]`.

Every job does something a machine really spends time on, in sizes that differ from run to run, and says after
each piece how far it is. A trace is one file `KIND_rN.jsonl.gz` of lines `{"t", "done", "total", "stage"}`,
thinned to at most 2,000 lines; the first and last line of each stage always stay.
"""

from __future__ import annotations

import argparse
import ast
import bz2
import gzip
import hashlib
import json
import lzma
import random
import re
import shutil
import sqlite3
import sys
import sysconfig
import tempfile
import time
import warnings
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

__all__ = ("JOBS", "Tick", "main", "record", "thin")

HERE = Path(__file__).parent
KEEP = 2_000


class Tick(NamedTuple):
    """One reading: `done` of `total` in `stage`, `t` seconds after the run began."""

    t: float
    done: int
    total: int
    stage: str


Steps = Iterator[tuple[str, int, int]]
"""What a job yields after each piece: stage, done, total."""

Job = Callable[[float, Path], Steps]
"""A job of a relative size (1.0 is usual), with a folder it may fill."""


def _sources() -> list[Path]:
    """The standard library in a fixed order: the same input on every machine with this Python."""
    root = Path(sysconfig.get_path("stdlib"))
    skip = ("site-packages", "__pycache__", "dist-packages")
    found = (path for path in root.rglob("*") if path.is_file() and not any(s in path.parts for s in skip))
    return sorted(found, key=str)


def _python_sources() -> list[Path]:
    return [path for path in _sources() if path.suffix == ".py"]


def _compile(path: Path) -> None:
    source = path.read_bytes()
    try:
        with warnings.catch_warnings(action="ignore"):
            for optimize in (0, 2):
                compile(ast.parse(source), str(path), "exec", optimize=optimize)
    except (SyntaxError, ValueError):
        pass  # the library carries broken files for its own tests


def _blob(size: float, seed: int) -> bytes:
    """Text, binary and noise in turn, so that the cost of a byte changes along the way."""
    rng = random.Random(seed)
    parts: list[bytes] = []
    have = 0
    files = _sources()
    while have < size:
        path = rng.choice(files)
        part = path.read_bytes()[:400_000] if rng.random() < 0.7 else rng.randbytes(150_000)
        parts.append(part)
        have += len(part)
    return b"".join(parts)[: int(size)]


def backfill(size: float, folder: Path) -> Steps:
    """Fill a new column of a table chunk by chunk, each chunk its own transaction."""
    rows = int(2_800_000 * size)
    base = sqlite3.connect(folder / "backfill.db", isolation_level=None)
    base.execute("CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT, slug TEXT)")
    base.execute("BEGIN")
    base.executemany(
        "INSERT INTO item (name) VALUES (?)", ((f"Item Number {i * 7919}",) for i in range(rows))
    )
    base.execute("COMMIT")
    base.execute("CREATE INDEX item_slug ON item (slug)")
    yield "backfill", 0, rows
    for start in range(0, rows, 5_000):
        end = min(start + 5_000, rows)
        base.execute(
            "UPDATE item SET slug = lower(replace(name, ' ', '-')) WHERE id > ? AND id <= ?", (start, end)
        )
        yield "backfill", end, rows
    base.close()


def random_inserts(size: float, folder: Path) -> Steps:
    """Insert keys in random order: the tree grows, its pages leave the cache, and every row gets dearer."""
    rows = int(400_000 * size)
    rng = random.Random(rows)
    base = sqlite3.connect(folder / "inserts.db", isolation_level=None)
    base.execute("PRAGMA cache_size = 400")
    base.execute("CREATE TABLE pair (key BLOB PRIMARY KEY, value BLOB) WITHOUT ROWID")
    yield "insert", 0, rows
    for start in range(0, rows, 2_000):
        count = min(2_000, rows - start)
        base.execute("BEGIN")
        base.executemany(
            "INSERT INTO pair VALUES (?, ?)", ((rng.randbytes(16), b"v" * 40) for _ in range(count))
        )
        base.execute("COMMIT")
        yield "insert", start + count, rows
    base.close()


def parse_files(size: float, folder: Path) -> Steps:
    """Parse and compile source files, counted in files: sizes differ by a factor of a thousand."""
    files = _python_sources()
    files = files[: max(1, int(len(files) * min(1.0, 0.62 * size)))]
    yield "parse", 0, len(files)
    for number, path in enumerate(files, 1):
        _compile(path)
        yield "parse", number, len(files)


def parse_bytes(size: float, folder: Path) -> Steps:
    """The same work as `parse_files`, counted in bytes."""
    files = _python_sources()
    files = files[: max(1, int(len(files) * min(1.0, 0.62 * size)))]
    total = sum(path.stat().st_size for path in files)
    done = 0
    yield "parse", 0, total
    for path in files:
        _compile(path)
        done += path.stat().st_size
        yield "parse", done, total


def compress(size: float, folder: Path) -> Steps:
    """Compress mixed content with LZMA, counted in bytes."""
    data = _blob(13_000_000 * size, seed=int(size * 100))
    pack = lzma.LZMACompressor(preset=4)
    chunk = 1 << 16
    yield "compress", 0, len(data)
    for start in range(0, len(data), chunk):
        pack.compress(data[start : start + chunk])
        yield "compress", min(start + chunk, len(data)), len(data)


def pack_small_first(size: float, folder: Path) -> Steps:
    """Compress files sorted by size, counted in files: nearly all of the time is in the last ones."""
    files = sorted(_sources(), key=lambda path: path.stat().st_size)
    step = max(1, round(2 / size))
    files = files[::step] if size < 1.5 else files
    yield "pack", 0, len(files)
    for number, path in enumerate(files, 1):
        for _ in range(3):
            bz2.compress(path.read_bytes(), 9)
        yield "pack", number, len(files)


def eliminate(size: float, folder: Path) -> Steps:
    """Eliminate a dense matrix row by row: the first rows cost most, and the whole grows with the cube of its
    size.
    """
    n = int(740 * size ** (1 / 3))
    rng = random.Random(n)
    matrix = [[rng.random() + (n if i == j else 0) for j in range(n)] for i in range(n)]
    yield "eliminate", 0, n
    for k in range(n):
        pivot = matrix[k]
        for row in matrix[k + 1 :]:
            factor = row[k] / pivot[k]
            row[k:] = [a - factor * b for a, b in zip(row[k:], pivot[k:], strict=True)]
        yield "eliminate", k + 1, n


def render(size: float, folder: Path) -> Steps:
    """Draw a Mandelbrot set line by line: lines through the set cost many times what the others cost."""
    rows = int(300 * size)
    yield "render", 0, rows
    for y in range(rows):
        for x in range(600):
            c = complex(-2.0 + 2.6 * x / 600, -1.2 + 2.4 * y / rows)
            z = 0j
            for _ in range(2_200):
                z = z * z + c
                if abs(z) > 2.0:
                    break
        yield "render", y + 1, rows


def report(size: float, folder: Path) -> Steps:
    """Five stages with units of their own: gather files, read words, count them, store them, look them up."""
    files = _python_sources()
    files = files[: max(1, int(len(files) * min(1.0, 0.6 * size)))]
    yield "gather", 0, len(files)
    sizes = []
    for number, path in enumerate(files, 1):
        sizes.append(hashlib.sha256(path.read_bytes()).hexdigest())
        yield "gather", number, len(files)
    words: Counter[str] = Counter()
    pattern = re.compile(r"[A-Za-z_]\w+")
    for number, path in enumerate(files, 1):
        words.update(pattern.findall(path.read_text(errors="replace")))
        yield "count", number, len(files)
    base = sqlite3.connect(folder / "report.db", isolation_level=None)
    base.execute("CREATE TABLE word (word TEXT PRIMARY KEY, n INTEGER)")
    rows = list(words.items())
    for start in range(0, len(rows), 100):
        base.execute("BEGIN")
        base.executemany("INSERT INTO word VALUES (?, ?)", rows[start : start + 100])
        base.execute("COMMIT")
        yield "store", min(start + 100, len(rows)), len(rows)
    prefixes = sorted({word[:2] for word in words})
    for number, prefix in enumerate(prefixes, 1):
        base.execute("SELECT sum(n) FROM word WHERE word LIKE ?", ("%" + prefix + "%",)).fetchone()
        yield "query", number, len(prefixes)
    text = json.dumps(rows).encode()
    chunk = 1 << 16
    for start in range(0, len(text), chunk):
        zlib.compress(text[start : start + chunk], 9)
        yield "archive", min(start + chunk, len(text)), len(text)
    base.close()


def copy_verify(size: float, folder: Path) -> Steps:
    """Copy a tree, then hash the copy: two stages that touch the same bytes at different prices."""
    files = _sources()
    step = max(1, round(1.4 / size))
    files = files[::step]
    total = sum(path.stat().st_size for path in files)
    done = 0
    yield "copy", 0, total
    for number, path in enumerate(files):
        shutil.copyfile(path, folder / str(number))
        done += path.stat().st_size
        yield "copy", done, total
    for number in range(len(files)):
        digest = b""
        for _ in range(50):
            digest = hashlib.blake2b((folder / str(number)).read_bytes(), key=digest[:64]).digest()
        yield "verify", number + 1, len(files)


JOBS: dict[str, Job] = {
    job.__name__: job
    for job in (
        backfill, random_inserts, parse_files, parse_bytes, compress, pack_small_first,
        eliminate, render, report, copy_verify,
    )
}  # fmt: skip

SIZES = (1.0, 1.6, 1.3, 0.8, 2.0, 1.1)


def record(job: Job, size: float) -> list[Tick]:
    """Run `job` once and return its ticks, `t` in seconds since its first."""
    ticks: list[Tick] = []
    with tempfile.TemporaryDirectory() as name:
        start: float | None = None
        for stage, done, total in job(size, Path(name)):
            now = time.perf_counter()
            start = now if start is None else start
            ticks.append(Tick(round(now - start, 4), done, total, stage))
    return ticks


def thin(ticks: list[Tick], keep: int = KEEP) -> list[Tick]:
    """At most about `keep` ticks, evenly by count; the first and the last of each stage stay."""
    step = -(-len(ticks) // keep)
    last = len(ticks) - 1
    return [
        tick
        for i, tick in enumerate(ticks)
        if i % step == 0 or i == last or ticks[i + 1].stage != tick.stage or ticks[i - 1].stage != tick.stage
    ]


def main() -> None:
    """Record the asked kinds, one file a run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--kind", action="append", choices=sorted(JOBS), help="only this kind (may be repeated)"
    )
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0, help="every size times this")
    parser.add_argument("--out", type=Path, default=HERE)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for run in range(options.runs):  # kinds in turn, so that a busy minute does not fall on one kind alone
        for kind in options.kind or JOBS:
            ticks = thin(record(JOBS[kind], SIZES[run % len(SIZES)] * options.scale))
            path = options.out / f"{kind}_r{run + 1}.jsonl.gz"
            lines = "".join(json.dumps(tick._asdict(), separators=(",", ":")) + "\n" for tick in ticks)
            path.write_bytes(gzip.compress(lines.encode(), 9, mtime=0))
            print(f"{path.name}: {len(ticks)} ticks, {ticks[-1].t:.1f} s", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
