"""How the commands run their event loop: uvloop where there is one."""

import sys
from collections.abc import Awaitable, Callable
from functools import partial
from typing import ParamSpec, TypeVar, cast

import anyio

__all__ = ("run_loop",)

_P = ParamSpec("_P")
_T = TypeVar("_T")


def run_loop(function: Callable[_P, Awaitable[_T]], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """Run ``function`` to its end in an event loop of its own, and return what it returns.

    Of what failed in its tasks the first is raised, as itself and not as a group.
    """
    options = {"use_uvloop": sys.platform != "win32"}
    try:
        return anyio.run(partial(function, *args, **kwargs), backend_options=options)
    except BaseExceptionGroup as group:
        raise _first(group) from group


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error = group.exceptions[0]
    if isinstance(error, BaseExceptionGroup):
        return _first(cast("BaseExceptionGroup[BaseException]", error))
    return error
