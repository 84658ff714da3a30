"""One module for each command: a function ``add_parser`` says which; beside them what they share."""

__all__: tuple[str, ...] = ()
