"""Compilation of the kernels: at their first call, kept on disk for the processes that follow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba


def compiled(*fastmath: str, inlined: bool = False) -> Callable[[Callable[..., Any]], Any]:
    """Compile a function with numba, without the GIL; ``fastmath``: liberties that LLVM may take with its sums.

    inlined: into every caller; passing all arrays of a job on costs more than small functions do.

    The machine code lies beside the source, or in the user's cache folder (``NUMBA_CACHE_DIR`` names another); where
    none can be written to, every process compiles for itself.
    """

    def compile_it(function: Callable[..., Any]) -> Any:
        try:
            return numba.njit(nogil=True, cache=True, fastmath=set(fastmath), forceinline=inlined)(function)
        except RuntimeError:  # no folder for the cache
            return numba.njit(nogil=True, fastmath=set(fastmath), forceinline=inlined)(function)

    return compile_it
