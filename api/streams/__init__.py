"""From a fold to many readers: frames, shared tails, and each reader's way along them."""

__all__: tuple[str, ...] = ()
