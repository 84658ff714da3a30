"""Records facts about runs in an immutable log; knows nothing of views or HTTP."""

__all__: tuple[str, ...] = ()
