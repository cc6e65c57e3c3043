"""Reading ooDML's published pickles without running anything that is in them.

A pickle may call whatever it names. Here it can name two things only, NumPy's scalars and dtypes, and both stand for
stubs of our own that decode a text or a number from bytes; NumPy itself is never called.
"""

from __future__ import annotations

import io
import pickle
import struct
from typing import Any, NoReturn

MODULES = ("numpy.core.multiarray", "numpy._core.multiarray")
"""What NumPy's module of scalars was and is called."""

_FORMATS = {"f8": "d", "f4": "f", "i8": "q", "i4": "i"}
_ORDERS = {"<": "utf-32-le", ">": "utf-32-be", "=": "utf-32-le", "|": "utf-32-le"}


def read_pickle(content: bytes) -> Any:
    """What a pickle holds, made of dicts, lists, tuples, texts and numbers. ValueError for any other pickle."""
    try:
        return _Reader(io.BytesIO(content)).load()
    except (
        pickle.UnpicklingError,
        EOFError,
        AttributeError,
        TypeError,
        ValueError,
        IndexError,
        KeyError,
        OverflowError,
        MemoryError,
        RecursionError,
        struct.error,
        ImportError,
    ) as error:
        raise ValueError(f"not a published split file: {type(error).__name__}: {error}") from error


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if module in MODULES and name == "scalar":
            return _MakeScalar()
        if (module, name) == ("numpy", "dtype"):
            return _MakeDtype()
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no split file needs; refused")

    def persistent_load(self, identity: Any) -> NoReturn:
        raise pickle.UnpicklingError("it refers to objects outside of itself; refused")


class _Dtype:
    """A NumPy dtype as far as texts and numbers need it: ``U<length>``, ``f8``, ``i8`` and a byte order."""

    __slots__ = ("kind", "order")

    def __init__(self, kind: str) -> None:
        if not (kind in _FORMATS or (kind[:1] == "U" and kind[1:].isdigit())):
            raise ValueError(f"values of the dtype {kind!r} are refused")
        self.kind, self.order = kind, "<"

    def __setstate__(self, state: Any) -> None:
        if not (isinstance(state, tuple) and len(state) > 1 and state[1] in _ORDERS):
            raise ValueError("a dtype in an unknown form")
        self.order = state[1]


class _MakeDtype:
    """Called as ``numpy.dtype(kind, align, copy)``; has no state that a pickle could change."""

    __slots__ = ()

    def __call__(self, kind: Any, align: Any = False, copy: Any = True) -> _Dtype:
        if not isinstance(kind, str):
            raise ValueError("a dtype in an unknown form")
        return _Dtype(kind)


class _MakeScalar:
    """Called as ``scalar(dtype, bytes)``; has no state that a pickle could change."""

    __slots__ = ()

    def __call__(self, dtype: Any, content: Any) -> str | float | int:
        if isinstance(content, str):
            content = content.encode("latin-1")
        if not isinstance(dtype, _Dtype) or not isinstance(content, bytes):
            raise ValueError("a scalar in an unknown form")
        if dtype.kind in _FORMATS:
            order = ">" if dtype.order == ">" else "<"
            value: float | int = struct.unpack(order + _FORMATS[dtype.kind], content)[0]
            return value
        return content.decode(_ORDERS[dtype.order]).rstrip("\0")
