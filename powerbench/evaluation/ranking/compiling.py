"""Compilation of the kernels: at their first call, kept on disk for the processes that follow."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache
from typing import Any

from powerbench.deferring import put_off

with put_off("scipy.linalg.cython_blas"):  # numba looks whether it is there, for functions that no kernel calls
    import numba
    import numba.np.arraymath

log = logging.getLogger(__name__)


def compiled(*fastmath: str, inlined: bool = False) -> Callable[[Callable[..., Any]], Any]:
    """Compile a function with numba, without the GIL; ``fastmath``: liberties that LLVM may take with its sums.

    inlined: into every caller; passing all arrays of a job on costs more than small functions do.

    The machine code lies in the folder that ``NUMBA_CACHE_DIR`` names, else in ``__pycache__`` beside the source, or,
    where that cannot be written to (an installation for all users, a read-only image), in the user's cache folder
    (``~/.cache/numba``; ``XDG_CACHE_HOME``). Where none can be written to, every process compiles for itself, and a
    warning says so.
    """

    def compile_it(function: Callable[..., Any]) -> Any:
        try:
            return numba.njit(nogil=True, cache=True, fastmath=set(fastmath), forceinline=inlined)(function)
        except RuntimeError:  # no folder for the cache
            _warn_once()
            return numba.njit(nogil=True, fastmath=set(fastmath), forceinline=inlined)(function)

    return compile_it


@cache
def _warn_once() -> None:
    log.warning(
        "compiled code cannot be kept: neither the folder of its source nor the user's cache folder can be written "
        "to, so that every process compiles anew. NUMBA_CACHE_DIR may name a folder for it."
    )
