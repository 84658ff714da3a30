"""The engine on a SQLite file, and what else is done to the file in SQL. Only this room imports aiosqlite."""

from .engine import CHECKPOINT_PAGES, SQLiteLog

__all__: tuple[str, ...] = ("CHECKPOINT_PAGES", "SQLiteLog")
