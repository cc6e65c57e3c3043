"""What a plan will cost: disk for the weights that are kept, and time, if fold runs like these were timed before."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from powerbench.config.schema import ClassSpec
from powerbench.console import duration
from powerbench.driver.folder import ExperimentFolder
from powerbench.driver.preparing import Prepared
from powerbench.driver.user_code import located
from powerbench.protocol import OF_OPENED_DATA, SEARCH_KEYS, differences
from powerbench.roots import Roots

if TYPE_CHECKING:
    from torch import nn

    from powerbench.models.trunk_contract import ImageTrunk
    from powerbench.store.rows import ExperimentRow
    from powerbench.store.store import Store


@dataclass(frozen=True)
class Cost:
    """Of one or several experiments, from their first fold run to their last. ``seconds`` is ``None`` if unknown."""

    fold_runs: int
    iterations: int
    kept_bytes: int
    seconds: float | None

    @property
    def text(self) -> str:
        """In words."""
        time = "an unknown time" if self.seconds is None else f"about {duration(self.seconds)} of training"
        amount = f"{self.fold_runs} fold runs, at most {self.iterations:,} iterations"
        return f"{amount}, {time}, {self.kept_bytes / 1e6:,.0f} MB of weights kept"


def cost_of(name: str, prepared: Prepared, roots: Roots, store: Store | None) -> Cost:
    """What an experiment will cost in all; the store tells how long a fold run takes."""
    plan = prepared.plan
    each = seconds_of_fold_run(name, prepared.protocol, store)
    kept = (
        _kept_trials(prepared)
        * plan.folds
        * _bytes_of_fold_run(prepared, ExperimentFolder.of(name, roots.experiments).user_code, roots)
    )
    return Cost(plan.fold_runs, plan.iterations, kept, None if each is None else each * plan.fold_runs)


def total(costs: Sequence[Cost]) -> Cost:
    """Of all together."""
    known = [cost.seconds for cost in costs if cost.seconds is not None]
    seconds = sum(known) if len(known) == len(costs) else None
    return Cost(
        sum(cost.fold_runs for cost in costs),
        sum(cost.iterations for cost in costs),
        sum(cost.kept_bytes for cost in costs),
        seconds,
    )


def seconds_of_fold_run(name: str, protocol: Mapping[str, Any], store: Store | None) -> float | None:
    """The mean over the fold runs that the store has of the experiment, or else of others of the same protocol.

    ``protocol`` may be that of a plan made without the data. ``None`` if there are no such fold runs.
    """
    if store is None:
        return None
    ignored = (*SEARCH_KEYS, *OF_OPENED_DATA)
    alike = [row for row in store.experiments() if not differences(protocol, row.protocol, ignoring=ignored)]
    for rows in ([row for row in alike if row.name == name], alike):
        seconds = [taken for row in rows for taken in _seconds(row, store)]
        if seconds:
            return sum(seconds) / len(seconds)
    return None


def _seconds(experiment: ExperimentRow, store: Store) -> list[float]:
    runs = [run for trial in store.trials(experiment.id) for run in store.runs(trial.id)]
    return [run.seconds for run in runs if run.state == "done" and run.seconds is not None]


def _kept_trials(prepared: Prepared) -> int:
    keep, trials = prepared.config.keep_weights, prepared.planned_trials
    if keep == "best_and_reproductions":
        return trials - max(prepared.planned_search_trials - 1, 0)
    return trials if keep == "all" or prepared.budget.single else 0


def _bytes_of_fold_run(prepared: Prepared, user_code: Path, roots: Roots) -> int:
    """The size of the best weights of trunk (unless it is frozen) and embedder, which are built for this."""
    trunk, embedder = models_with_random_weights(prepared, user_code, roots)
    kept = [embedder, *([] if prepared.config.freeze_trunk else [trunk])]
    return sum(tensor.nbytes for module in kept for tensor in module.state_dict().values())


def models_with_random_weights(prepared: Prepared, user_code: Path, roots: Roots) -> tuple[ImageTrunk, nn.Module]:
    """Trunk and embedder of a plan, without the files of weights, which may not be there yet."""
    from powerbench.models.building import build_embedder, build_trunk

    plain = located(prepared.config.plain(), user_code, prepared.user_files)
    config = type(prepared.config).from_plain(plain)
    models = config.models.model_copy(update={"trunk": _with_random_weights(config.models.trunk)})
    config = config.model_copy(update={"models": models})
    trunk = build_trunk(config, roots.places, seed=0)
    return trunk, build_embedder(config, trunk.widths["pooled"], seed=0)


def _with_random_weights(trunk: ClassSpec) -> ClassSpec:
    """The trunk without its file of weights, which may not be there yet."""
    from powerbench.classes import find_class
    from powerbench.models.library import library_of

    factory = find_class("trunk", trunk.name)
    args = {key: value for key, value in trunk.args.items() if key != "weights"}
    if library_of(factory) is not None or "pretrained" in inspect.signature(factory).parameters:
        args["pretrained"] = None
    return ClassSpec.model_validate({trunk.name: args})
