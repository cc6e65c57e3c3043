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


def text_of(value: Any) -> str:
    """The text in a cell."""
    return str(np.asarray(value).ravel()[0])


def number_of(value: Any) -> int:
    """The whole number in a cell, which is an array of one element."""
    return int(np.asarray(value).ravel()[0])
