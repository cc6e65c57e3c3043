"""Features of a frozen trunk, computed once per dataset and kept in a file.

A file is used only if everything that could change its content is as it was when it was written, and if its
content is what was written; otherwise it is computed anew.
"""

from __future__ import annotations

import hashlib
import json
import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from powerbench.data.images import ImageInputs, InputPart
from powerbench.errors import UserError
from powerbench.files import file_lock, remove_leftovers, sha256_of, write_atomic
from powerbench.models.trunk_contract import ImageTrunk
from powerbench.seeding import numpy_generator, seed_of

BATCH = 32
"""Images per forward pass: fixed, because features differ in their last bits with the size of the batch."""

_log = logging.getLogger(__name__)
_verified: set[tuple[str, int, int, int]] = set()


class FrozenTrunk(ImageTrunk):
    """Stands for a trunk whose ``outputs`` (``pooled`` first), side by side, are the inputs: passes them through."""

    def __init__(self, trunk: ImageTrunk, outputs: Sequence[str] = ("pooled",)) -> None:
        super().__init__()
        self.widths = {output: trunk.widths[output] for output in outputs}
        self.input = trunk.input
        self.weights_hash = trunk.weights_hash
        self.identity = trunk.identity

    def forward(self, features: Tensor, outputs: Sequence[str] = ("pooled",)) -> dict[str, Tensor]:
        """The given features (B x sum of widths) by output. Raises UserError if one is asked for that was not kept."""
        if unknown := [output for output in outputs if output not in self.widths]:
            kept = " and ".join(self.widths)
            raise UserError(f"with freeze_trunk only {kept} features are kept; {', '.join(unknown)} cannot be had.")
        return dict(zip(self.widths, torch.split(features, list(self.widths.values()), dim=1), strict=True))


class FeatureInputs:
    """Batches of kept features: the same interface as :class:`powerbench.data.images.ImageInputs`.

    banks: the features by recipe, copies x items x width. With several copies (of differently augmented images)
    each drawn item gets one of them at random. of_views: the recipes that a part's views take in turn.
    """

    def __init__(
        self, banks: Mapping[str, np.ndarray], device: torch.device, of_views: Mapping[str, Sequence[str]]
    ) -> None:
        self._of_views = of_views
        self._copies = {name: len(bank) for name, bank in banks.items()}
        self._items = {name: bank.shape[1] for name, bank in banks.items()}
        self._rows = {name: torch.from_numpy(bank).flatten(0, 1) for name, bank in banks.items()}
        if device.type != "cpu":
            self._rows = {name: rows.to(device) for name, rows in self._rows.items()}

    def batches(
        self, plan: Sequence[np.ndarray], *, part: InputPart, seed: int = 0, views: int = 1
    ) -> Iterator[tuple[Tensor, ...]]:
        """The features (B x width, float32) of each batch of ``plan`` (item numbers), one tensor a view."""
        names = self._of_views[part]
        for position, items in enumerate(plan):
            yield tuple(self._gathered(names[view % len(names)], items, seed, position, view) for view in range(views))

    def close(self) -> None:
        """Nothing to stop."""

    def _gathered(self, name: str, items: np.ndarray, seed: int, position: int, view: int) -> Tensor:
        rows = np.asarray(items, dtype=np.int64)
        if self._copies[name] > 1:
            drawn = numpy_generator(seed=seed, position=position, view=view).integers(
                self._copies[name], size=len(rows)
            )
            rows = rows + drawn * self._items[name]
        bank = self._rows[name]
        return bank.index_select(0, torch.from_numpy(rows).to(bank.device))


def kept_features(folder: Path, key: Mapping[str, Any], compute: Callable[[], np.ndarray]) -> np.ndarray:
    """The array that ``compute`` gives for ``key``: from its file if that can be trusted, else computed and written.

    One process computes while others that want the same wait for it. The array is mapped from the file.
    """
    name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:32]
    path = folder / f"{name}.npy"
    found = _trusted(path, key)
    if found is None:
        with file_lock(folder / f"{name}.lock"):
            found = _trusted(path, key)
            if found is None:
                remove_leftovers(folder, f"{name}.*")
                found = _written(path, key, compute())
    return found


def compute_features(
    trunk: ImageTrunk,
    inputs: ImageInputs,
    count: int,
    *,
    recipe: str,
    outputs: Sequence[str],
    copies: int,
    device: torch.device,
    dtype: torch.dtype,
) -> np.ndarray:
    """Features of all items, ``copies`` times differently drawn: the ``outputs`` of each image by ``recipe`` side by
    side (copies x count x sum of their widths, float32).

    The seeds of the copies are fixed: every experiment with the same recipe shares them.
    """
    plan = [np.arange(start, min(start + BATCH, count)) for start in range(0, count, BATCH)]
    features = np.empty((copies, count, sum(trunk.widths[output] for output in outputs)), dtype=np.float32)
    _log.info("computing the features of %d images (%s)", copies * count, trunk.identity)
    trunk.eval()
    with (
        torch.no_grad(),
        torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32),
        tqdm(total=copies * count, desc="features", unit="image", disable=not sys.stderr.isatty()) as progress,
    ):
        for copy in range(copies):
            batches = inputs.batches(plan, part=recipe, seed=seed_of(purpose="feature bank", copy=copy))
            for items, (images,) in zip(plan, batches, strict=True):
                found = trunk(images, outputs)
                features[copy, items] = torch.cat([found[output].float() for output in outputs], dim=1).cpu().numpy()
                progress.update(len(items))
    return features


def state_hash(module: torch.nn.Module) -> str:
    """The SHA-256 of a module's state: names, shapes and bytes."""
    digest = hashlib.sha256()
    for name, tensor in module.state_dict().items():
        values = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {values.dtype} {tuple(values.shape)}\n".encode())
        digest.update(values.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _trusted(path: Path, key: Mapping[str, Any]) -> np.ndarray | None:
    """The mapped array if the file is whole and was written for ``key``."""
    try:
        record = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        status = path.stat()
        seen = (str(path.resolve()), status.st_mtime_ns, status.st_size, status.st_ino)
        if record["key"] != json.loads(json.dumps(key)):
            return None
        if seen not in _verified:
            if sha256_of(path) != record["sha256"]:
                return None
            _verified.add(seen)
        return _mapped(path)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _written(path: Path, key: Mapping[str, Any], features: np.ndarray) -> np.ndarray:
    write_atomic(path, lambda file: np.save(file, features, allow_pickle=False))
    write_atomic(path.with_suffix(".json"), json.dumps({"key": key, "sha256": sha256_of(path)}, indent=1))
    return _mapped(path)


def _mapped(path: Path) -> np.ndarray:
    """The array in a file, read as it is used; nothing is ever written back."""
    array: np.ndarray = np.load(path, mmap_mode="c", allow_pickle=False)
    return array
