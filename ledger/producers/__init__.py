"""Who reports: runs from an event loop, from threads and over HTTP, and their way into a ledger."""

__all__: tuple[str, ...] = ()
