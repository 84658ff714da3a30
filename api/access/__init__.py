"""Who may: by which name the server was called, who calls, what they may do and how often."""

__all__: tuple[str, ...] = ()
