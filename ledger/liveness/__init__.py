"""Who is gone: owners, leases, and the sweep that interrupts the runs of the dead."""

__all__: tuple[str, ...] = ()
