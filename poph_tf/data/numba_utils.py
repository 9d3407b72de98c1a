"""Machine code out of plain Python loops, by numba (extra `fast`)."""


def compiled(function):
    """`function` as machine code; None where numba is not to be had."""
    try:
        import numba
    except ImportError:
        return None
    try:
        return numba.njit(cache=True, nogil=True)(function)
    except RuntimeError:
        # Nowhere to keep the code: compile it anew in each process.
        return numba.njit(nogil=True)(function)
