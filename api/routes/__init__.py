"""One module for each group of addresses: a function ``routes`` says which."""

__all__: tuple[str, ...] = ()
