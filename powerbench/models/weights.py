"""Files of pretrained weights: where they lie, how they are had, how they are loaded."""

from __future__ import annotations

import http.client
import os
import pickle
import shutil
import struct
import urllib.request
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

import torch
from torch import Tensor, nn

from powerbench.errors import UserError
from powerbench.files import sha256_of, write_atomic

_UNREADABLE = (RuntimeError, OSError, EOFError, ValueError, LookupError, TypeError, AssertionError, struct.error)
"""What torch.load raises, besides UnpicklingError, for files that cannot be read or are not what it wrote."""

TIMEOUT = 10.0
"""Seconds to wait for a server that does not answer."""


def hub_folder(pytorch_home: str | None) -> Path:
    """Where torch keeps downloaded weights: ``hub/checkpoints`` in ``pytorch_home``, else in ``$TORCH_HOME``."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    home = pytorch_home or os.environ.get("TORCH_HOME") or f"{cache}/torch"
    return Path(home).expanduser() / "hub" / "checkpoints"


def given_file(path: str) -> Path:
    """The file named as ``weights`` in a config. Raises UserError if it does not exist."""
    file = Path(path).expanduser()
    if not file.is_file():
        raise UserError(f"there is no weights file {path!r} (looked in {Path.cwd()}).", where="config_models: weights")
    return file


def find_or_download(names: Sequence[str], url: str, folder: Path, *, trunk: str, download: bool = True) -> Path:
    """The first of ``names`` that lies in ``folder``, else the file at ``url``, stored as the first name.

    Raises UserError, saying which file to put where, if it is not there and cannot be downloaded.
    """
    for name in names:
        if (folder / name).is_file():
            return folder / name
    target = folder / names[0]
    outcome = "was not tried"
    if download:
        try:
            _download(url, target)
        except (OSError, http.client.HTTPException) as error:
            outcome = f"failed ({error})"
        else:
            return target
    raise UserError(
        f"the pretrained weights of {trunk} are missing: there is no file {target}, and downloading it from {url} "
        f"{outcome}. Put the file there, or name it as {{{trunk}: {{weights: path/to/{names[0]}}}}}, "
        f"or ask for random weights with {{{trunk}: {{pretrained: null}}}}.",
        where="config_models: models/trunk",
    )


def _download(url: str, target: Path) -> None:
    with urllib.request.urlopen(url, timeout=TIMEOUT) as answer:
        expected = answer.headers.get("Content-Length")

        def write(file: BinaryIO) -> None:
            shutil.copyfileobj(answer, file)
            if expected is not None and file.tell() != int(expected):
                raise OSError(f"the connection broke after {file.tell()} of {expected} bytes")

        write_atomic(target, write)


def file_hash(path: Path) -> str:
    """The SHA-256 of a weights file; computed once per process while the file stays as it is."""
    status = path.stat()
    return _file_hash(path.resolve(), status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=64)
def _file_hash(path: Path, mtime_ns: int, size: int) -> str:
    return sha256_of(path)


def read_state(path: Path) -> dict[str, Tensor]:
    """The tensors of a file that holds a plain state dict. Raises UserError if it holds anything else."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"the weights file {path} is damaged, or holds more than tensors: such files can run code when they are "
            "loaded, so it was not. Save a plain state dict (names and tensors)."
        ) from error
    except _UNREADABLE as error:
        raise UserError(
            f"the weights file {path} cannot be read, is damaged or not a plain state dict ({_first_line(error)})."
        ) from error
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise UserError(f"the weights file {path} does not hold a plain state dict (names and tensors).")
    return dict(state)


def load_state(network: nn.Module, state: Mapping[str, Tensor], *, source: Path, optional: str) -> bool:
    """Load a state dict into ``network``; whether the layer called ``optional`` was in it too.

    Accepts tensors with one leading dimension of size 1 too many (old batch norm tensors of size 1 x C), and
    the lack of batch norm's ``num_batches_tracked``. Raises UserError if anything else is missing, too much,
    or of another shape.
    """
    own = network.state_dict()
    fitted = {name: _squeezed(tensor, own[name]) if name in own else tensor for name, tensor in state.items()}
    has_optional = any(name.startswith(optional + ".") for name in fitted)
    needed = {
        name
        for name in own
        if not name.endswith("num_batches_tracked") and (has_optional or not name.startswith(optional + "."))
    }
    problems = [f"{name} is missing" for name in own if name in needed - fitted.keys()]
    problems += [f"{name} is unknown" for name in fitted if name not in own]
    problems += [
        f"{name} is {tuple(tensor.shape)}, not {tuple(own[name].shape)}"
        for name, tensor in fitted.items()
        if name in own and tensor.shape != own[name].shape
    ]
    if problems:
        listed = "; ".join(problems[:3]) + (f"; and {len(problems) - 3} more" if len(problems) > 3 else "")
        raise UserError(f"the weights file {source} does not fit the network: {listed}.")
    network.load_state_dict(fitted, strict=False)
    return has_optional


def _squeezed(tensor: Tensor, own: Tensor) -> Tensor:
    return tensor.squeeze(0) if tensor.dim() == own.dim() + 1 else tensor


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
