"""Compiles plain Python loops to machine code with numba (extra `fast`)."""

import types
from collections.abc import Callable
from typing import Any


def compiled(function: Callable[..., Any], *helpers: Callable[..., Any]) -> Any:
    """Compiles a function, together with the functions of its module that it calls.

    Args:
        function: takes arrays and numbers only.
        *helpers: the functions it calls, each after those it depends on.

    Returns:
        The function as machine code, or None when numba is unavailable.
    """
    try:
        import numba
    except ImportError:
        return None
    names = dict(function.__globals__)
    for part in (*helpers, function):
        # A copy that sees the compiled helpers instead of the Python ones.
        copy = types.FunctionType(part.__code__, names, part.__name__)
        try:
            code = numba.njit(cache=True, nogil=True)(copy)
        except RuntimeError:
            # Without a place for the cache, each process compiles again.
            code = numba.njit(nogil=True)(copy)
        names[part.__name__] = code
    return code
