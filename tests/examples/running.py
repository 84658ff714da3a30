"""Runs a program of docs/examples as a newcomer does, and reads what it found."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from tests import tree


def run_example(name: str, *arguments: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, str(tree.ROOT / "docs" / "examples" / f"{name}.py"), "--json", *arguments],
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found
