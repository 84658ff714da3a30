"""Who checks: the tree over the log, bundles and their verdict, retention and copies."""

__all__: tuple[str, ...] = ()
