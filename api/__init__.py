"""Shows answers: HTTP, server-sent events, dashboard and command line.

``create_app`` is what an application of one's own needs. Importing this package alone loads no web framework.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .app import create_app

__all__: tuple[str, ...] = ("create_app",)


def __getattr__(name: str) -> object:
    if name == "create_app":
        from .app import create_app  # whoever imports a command need not pay for it

        return create_app
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
