"""What commands stand on: a client of the API, what a viewer knows, and how it looks in a terminal."""

__all__: tuple[str, ...] = ()
