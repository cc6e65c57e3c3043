"""Balanced batches for subsets with few or small classes, such as clusters."""

from __future__ import annotations

import numpy as np

from powerbench.data.samplers.class_cursors import ClassCursors
from powerbench.data.samplers.classes import as_batch, items_by_class, some_of, turns_per_batch
from powerbench.errors import UserError, nearest

SMALL_CLASS_ACTIONS = ("sample_other", "duplicate", "smaller_batch")


class AdaptiveBalancedSampler:
    """Each batch holds ``batch_size / m`` distinct classes with ``m`` items of each, or all classes with more.

    With fewer classes than that, C, each gives floor(batch_size / C) items, and the remainder goes as one more to
    classes drawn at random. What happens where a class is smaller than wanted says ``small_class_action``:
    ``sample_other`` takes all of it and fills the batch with random items that are not yet in it (no item comes twice
    if there are ``batch_size`` items); ``duplicate`` repeats its items; ``smaller_batch`` leaves the batch smaller.
    Items come from each class's shuffled list (:class:`ClassCursors`).

    labels: one label an item, at least two classes. batch_size: items a batch. num_replicas: every batch is made for
    ``batch_size / num_replicas`` items, a multiple of ``m``, and comes so often in itself.

    Source: ``adaptbalanced`` of Divide and Conquer (Sanakoyeu et al., 2021), whose epoch has floor(N / batch_size)
    batches; here the loop or the method says how many.
    """

    def __init__(
        self,
        labels: np.ndarray,
        batch_size: int,
        m: int = 4,
        small_class_action: str = "sample_other",
        num_replicas: int = 1,
    ) -> None:
        name = "AdaptiveBalancedSampler"
        if small_class_action not in SMALL_CLASS_ACTIONS:
            raise UserError(
                f"{name}: small_class_action is {', '.join(SMALL_CLASS_ACTIONS)}, not {small_class_action!r}",
                near=nearest(small_class_action, SMALL_CLASS_ACTIONS),
            )
        if num_replicas < 1 or batch_size % num_replicas:
            raise UserError(f"{name}: batch_size ({batch_size}) must be a multiple of num_replicas ({num_replicas})")
        self._size, self._replicas, self._action = batch_size // num_replicas, num_replicas, small_class_action
        self._items = items_by_class(name, labels)
        self._classes = min(turns_per_batch(name, self._size, m), len(self._items))

    def plan(self, n: int, generator: np.random.Generator, embed: object = None) -> list[np.ndarray]:
        """The next ``n`` batches, as positions into the labels: a pure function of the generator's state.

        Raises UserError if there is only one class, or if batches hold one class only.
        """
        if self._classes < 2:
            raise UserError(
                "AdaptiveBalancedSampler: a batch needs two classes or more "
                f"(there are {len(self._items)}, and a batch takes {self._classes})"
            )
        cursors = ClassCursors(self._items, generator)
        return [np.tile(as_batch(self._batch(cursors, generator)), self._replicas) for _ in range(n)]

    def _batch(self, cursors: ClassCursors, generator: np.random.Generator) -> list[int]:
        each, more = divmod(self._size, self._classes)
        larger = generator.choice(len(self._items), more, replace=False)
        batch: list[int] = []
        for label in generator.choice(len(self._items), self._classes, replace=False):
            wanted = each + int(label in larger)
            if self._action != "duplicate":
                wanted = min(wanted, len(self._items[label]))
            batch += cursors.take(label, wanted)
        if self._action == "sample_other" and len(batch) < self._size:
            batch += self._others(batch, generator)
        return batch

    def _others(self, batch: list[int], generator: np.random.Generator) -> list[int]:
        """Random items that are not in the batch, to fill it; any items once there are no others."""
        everything = np.concatenate(self._items)
        others = np.setdiff1d(everything, batch)
        missing = self._size - len(batch)
        taken = some_of(others, min(missing, len(others)), generator)
        return taken + some_of(everything, missing - len(taken), generator)
