"""From items to embeddings that can be measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from powerbench.config.schema import GlobalEmbeddingSpaceTester
from powerbench.data.inputs import Inputs
from powerbench.errors import PowerbenchError, UserError
from powerbench.evaluation.model import Model
from powerbench.jobs import FailureKind
from powerbench.methods.contract import Outputs

POOLED = "pooled"
"""The trunk's own features, as an output to embed."""


class NotFinite(PowerbenchError):
    """Losses or embeddings that are no finite numbers (``nan``), or too large to be compared (``diverged``)."""

    def __init__(self, kind: FailureKind, message: str) -> None:
        self.kind: FailureKind = kind
        super().__init__(message)


def embed(
    model: Model,
    inputs: Inputs,
    items: NDArray[np.int64],
    *,
    batch_size: int,
    outputs: Sequence[str | None] = (None,),
    poll: Callable[[], None] = lambda: None,
) -> dict[str | None, Tensor]:
    """Un-augmented outputs of dataset items by name: N x D, float32, on the CPU.

    An output is one of the method's embeddings, or of the trunk's outputs (``pooled``);
    None is the method's default embedding. ``poll`` is called before each batch and may raise.
    The model computes in evaluation mode and is left in the mode it was in.
    """
    was_training = model.training
    model.train(False)
    of_trunk = [output for output in outputs if output in model.trunk.widths]
    names = tuple(dict.fromkeys([*model.method.needs.trunk_outputs, *of_trunk]))
    parts: dict[str | None, list[Tensor]] = {output: [] for output in outputs}
    plan = [items[start : start + batch_size].copy() for start in range(0, len(items), batch_size)]
    with torch.inference_mode():
        for views in inputs.batches(plan, part="eval"):
            poll()
            with model.clock, model.autocast():
                found = _found(model, model.trunk_outputs(model.place(views[0]), names))
                for output, part in parts.items():
                    part.append(found[output].float().to("cpu", non_blocking=True))
        with model.clock:
            model.wait()
    model.train(was_training)
    return {output: torch.cat(part) for output, part in parts.items()}


def measurable(embeddings: Tensor, tester: GlobalEmbeddingSpaceTester, *, pca: int | None) -> NDArray[np.float32]:
    """Embeddings of one split (N x D) as they are compared: PCA if any, then the tester's L2 normalisation.

    Raises NotFinite if they are not finite, or too large for their norms to be.
    """
    check_finite(embeddings)
    if pca is not None:
        embeddings = torch.from_numpy(reduce_dimensions(embeddings.numpy(), pca))
    if tester.normalize_embeddings:
        embeddings = normalized(embeddings)
    array: NDArray[np.float32] = embeddings.numpy()
    return array


def normalized(embeddings: Tensor) -> Tensor:
    """Each row scaled to an L2 norm of 1; rows of zeros stay."""
    return torch.nn.functional.normalize(embeddings)


def check_finite(embeddings: Tensor) -> None:
    """Raise NotFinite unless all values and all norms are finite numbers."""
    norms = embeddings.norm(dim=1)
    if bool(torch.isfinite(norms).all()):
        return
    if bool(torch.isnan(embeddings).any()):
        raise NotFinite("nan", "the embeddings contain NaN")
    raise NotFinite("diverged", "the embeddings are too large to be compared (their norms overflow)")


def reduce_dimensions(array: NDArray[np.float32], components: int) -> NDArray[np.float32]:
    """Standardised columns (mean 0, variance 1; constant ones 0), projected on their first principal components.

    Fitted on ``array`` itself (N x D), as powerful-benchmarker's ``tester.pca`` does.
    Raises UserError if ``components`` exceeds N or D.
    """
    if components > min(array.shape):
        raise UserError(
            f"{components} components cannot be taken from {len(array)} embeddings of {array.shape[1]} dimensions.",
            where="tester/pca",
        )
    values = array.astype(np.float64)
    spread = values.std(axis=0)
    values = (values - values.mean(axis=0)) / np.where(spread == 0, 1, spread)
    axes = np.linalg.svd(values, full_matrices=False)[2][:components]
    projected: NDArray[np.float32] = (values @ axes.T).astype(np.float32)
    return projected


def _found(model: Model, of_trunk: Outputs) -> dict[str | None, Tensor]:
    """Outputs by name; the default embedding under None."""
    of_method = model.method.embeddings(of_trunk)
    found: dict[str | None, Tensor] = {None: next(iter(of_method.values()))}
    found.update(of_trunk)
    found.update(of_method)
    return found
