"""Embeddings and labels as they are handed in, checked and brought to the forms that are computed with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, get_args

import numpy as np

from powerbench.evaluation.ranking.near import Lookup, Ties
from powerbench.evaluation.ranking.points import Distance, Embeddings, Integers
from powerbench.evaluation.ranking.ranks import lookup_of

LABELS: dict[str, tuple[type, ...]] = {"whole numbers": (int, np.integer), "texts": (str,), "bytes": (bytes,)}
"""What labels may be; all of one and the same."""


@dataclass(frozen=True)
class Given:
    """Queries with dense class numbers, and what they are looked up in: a reference, or (None) themselves.

    groups: of queries and of references, numbers of class and second label together; None without second labels.
    """

    queries: Embeddings
    classes: Integers
    reference: Embeddings | None
    reference_classes: Integers
    groups: tuple[Integers, Integers] | None

    @staticmethod
    def checked(
        embeddings: Any,
        labels: Any,
        reference: Any,
        reference_labels: Any,
        distance: Distance,
        ties: Ties,
        apart: Any,
        reference_apart: Any,
    ) -> Given:
        """The arguments of ``measure``; ValueError for what cannot be measured."""
        for name, value, choices in (("ties", ties, get_args(Ties)), ("distance", distance, get_args(Distance))):
            if value not in choices:
                raise ValueError(f"{name} must be {', '.join(choices[:-1])} or {choices[-1]}, not {value!r}")
        if (reference is None) != (reference_labels is None):
            raise ValueError("reference and reference_labels go together")
        if (reference_apart is None) != (apart is None or reference is None):
            raise ValueError("reference_apart is needed where there are apart and reference, and only there")
        queries = checked_embeddings(embeddings, "embeddings")
        gallery = None if reference is None else checked_embeddings(reference, "reference")
        if gallery is not None and gallery.shape[1] != queries.shape[1]:
            raise ValueError(f"embeddings have {queries.shape[1]} dimensions, the reference has {gallery.shape[1]}")
        sizes = len(queries), None if gallery is None else len(gallery)
        own, other = checked_classes(labels, sizes[0], reference_labels, sizes[1])
        if apart is None:
            return Given(queries, own, gallery, other, None)
        seconds = checked_classes(apart, sizes[0], reference_apart, sizes[1], ("apart", "reference_apart"))
        step = 1 + max(int(second.max(initial=0)) for second in seconds)
        return Given(queries, own, gallery, other, (own * step + seconds[0], other * step + seconds[1]))

    def lookup(self, distance: Distance, ties: Ties) -> Lookup:
        """The queries, ready to be ranked."""
        some, more = (self.queries, self.classes), (self.reference, self.reference_classes)
        return lookup_of(*some, *more, distance=distance, ties=ties, groups=self.groups)


def checked_embeddings(given: Any, name: str) -> Embeddings:
    """An array or tensor, N x D, as contiguous float32 or float64. ValueError if that cannot be or is not finite."""
    if hasattr(given, "detach"):
        given = given.detach().cpu()
        given = given.float() if given.dtype.is_floating_point and given.element_size() < 4 else given
        given = given.numpy()
    array = np.asarray(given)
    if array.dtype.kind not in "fiub":
        raise ValueError(f"{name} must be real numbers, not {array.dtype}")
    array = np.ascontiguousarray(array, dtype=np.float32 if array.dtype in (np.float32, np.float16) else np.float64)
    if array.ndim != 2 or array.shape[1] == 0:
        raise ValueError(f"{name} must be items x dimensions, not of shape {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} hold NaN or infinite values")
    return array


def checked_classes(
    labels: Any,
    count: int,
    reference_labels: Any,
    reference_count: int | None,
    names: tuple[str, str] = ("labels", "reference_labels"),
) -> tuple[Integers, Integers]:
    """Dense class numbers of the queries and of the reference (of the queries again without one)."""
    own, what = _checked(labels, count, names[0])
    if reference_count is None:
        dense = np.unique(own, return_inverse=True)[1]
        return dense, dense
    other, other_what = _checked(reference_labels, reference_count, names[1])
    if count and reference_count and what != other_what:
        raise ValueError(f"{names[0]} are {what} but {names[1]} are {other_what}")
    if own.dtype.kind != other.dtype.kind:  # int64 and uint64 would become float64
        own, other = own.astype(object), other.astype(object)
    dense = np.unique(np.concatenate([own, other]), return_inverse=True)[1]
    return dense[:count], dense[count:]


def checked_threads(threads: int | None) -> None:
    """ValueError for a number of threads that cannot be."""
    if threads is not None and threads < 1:
        raise ValueError(f"threads must be at least 1, not {threads}")


def _checked(labels: Any, count: int, name: str) -> tuple[np.ndarray, str]:
    """Labels as an array, and what they are."""
    if hasattr(labels, "detach"):
        labels = labels.detach().cpu().numpy()
    array = np.asarray(labels)
    if array.shape != (count,):
        raise ValueError(f"{name} must be one for each of {count} items, not of shape {array.shape}")
    if count == 0:
        return array.astype(np.int64), "whole numbers"
    kinds = set(map(type, array)) if array.dtype.kind == "O" else {array.dtype.type}
    for what, some in LABELS.items():
        if all(issubclass(kind, some) for kind in kinds):
            return array, what
    raise ValueError(f"{name} must be whole numbers or texts, not {' and '.join(sorted(k.__name__ for k in kinds))}")
