"""Ids the ledger makes itself."""

import secrets
import time

__all__ = ("new_run_id",)


def new_run_id() -> str:
    """A UUIDv7 (RFC 9562, section 5.7): unique, and sortable by the time it was made."""
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds & (2**48 - 1)) << 80 | 0x7 << 76 | secrets.randbits(76)
    value = value & ~(0x3 << 62) | 0x2 << 62
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
