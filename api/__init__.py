"""Shows answers: HTTP, server-sent events, dashboard and command line."""

__all__: tuple[str, ...] = ()
