"""Names by pattern: ``*`` stands for any text, ``?`` for one character, everything else for itself."""

import re

__all__ = ("as_glob", "fits")


def fits(pattern: str, name: str) -> bool:
    """Whether ``name`` is meant by ``pattern``."""
    parts = (".*" if sign == "*" else "." if sign == "?" else re.escape(sign) for sign in pattern)
    return re.fullmatch("".join(parts), name, re.DOTALL) is not None


def as_glob(pattern: str) -> str:
    """The same pattern for SQLite's GLOB, in which ``[`` would begin a set of characters."""
    return pattern.replace("[", "[[]")
