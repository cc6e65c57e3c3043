"""Annotation files of MATLAB, as Cars196 publishes them."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powerbench.errors import UserError


def read_mat(path: Path, variable: str, *, optional: bool = False) -> NDArray[Any]:
    """A variable of a .mat file, flattened; nothing, if it is ``optional`` and not there.

    Raises UserError if the file cannot be read, or has no such variable.
    """
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        content = loadmat(str(path), variable_names=[variable])
    except (
        OSError,
        ValueError,
        TypeError,
        KeyError,
        IndexError,
        NotImplementedError,
        MatReadError,
        zlib.error,
    ) as error:
        raise UserError(f"{path} cannot be read as a .mat file: {error}") from error
    if variable not in content and not optional:
        raise UserError(f"{path} has no variable {variable!r}: it is not the published file.")
    return np.asarray(content.get(variable, ())).ravel()


def texts_in(cells: NDArray[Any], path: Path) -> list[str]:
    """The text in each cell. UserError that names the file and the record if there is none."""
    return [str(_content(cell, "U", f"{path}, record {record}: a text")) for record, cell in enumerate(cells, start=1)]


def numbers_in(cells: NDArray[Any], path: Path) -> list[int]:
    """The whole number in each cell. UserError that names the file and the record if there is none."""
    numbers = []
    for record, cell in enumerate(cells, start=1):
        expected = f"{path}, record {record}: a whole number"
        number = float(_content(cell, "iuf", expected))
        if not number.is_integer():
            raise UserError(f"{expected} is expected, not {number}.")
        numbers.append(int(number))
    return numbers


def _content(cell: Any, kinds: str, expected: str) -> Any:
    """The first element of a cell, which is an array of one element of one of NumPy's ``kinds``."""
    content = np.asarray(cell).ravel()
    if not content.size or content.dtype.kind not in kinds:
        raise UserError(f"{expected} is expected, not {content.tolist()}.")
    return content[0]
