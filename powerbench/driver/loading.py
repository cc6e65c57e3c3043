"""A trained model out of an experiment's folder, for use elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from torch import nn

from meta_logs.reproduced import earlier_results
from meta_logs.results import ExperimentResults
from powerbench.config.merged import MergedConfig
from powerbench.config.schema import ExperimentConfig
from powerbench.config.search_keys import fill
from powerbench.config.typed import typed
from powerbench.driver.folder import ExperimentFolder
from powerbench.driver.user_code import located_unchanged
from powerbench.errors import UserError, nearest
from powerbench.evaluation.loaded import EnsembleEmbedder, EvalTransform, load_folds
from powerbench.jobs import FoldModel
from powerbench.models.trunk import Trunk
from powerbench.roots import find_roots
from powerbench.store.rows import RunRow, TrialRow


class LoadedModel(NamedTuple):
    """A module that maps batches of images to embeddings, and the transform that makes its images."""

    module: nn.Module
    transform: EvalTransform


def load_model(
    folder: str | Path,
    fold: int | None = None,
    ensemble: bool | None = None,
    *,
    trial: str | None = None,
    pytorch_home: str | Path | None = None,
) -> LoadedModel:
    """The trained model of an experiment, from its folder alone: ``model, transform = load_model(folder)``.

    folder: the experiment's, perhaps copied (of an evaluated one of 0.9.x, that folder or ``powerbench`` inside of
    it); no results store is needed. fold: the model of this fold. ensemble: all folds' models, their embeddings joined
    as in the evaluation mode ``concatenated``; what is given without ``fold``.
    trial: such as ``reproduction:0``; by default the search's best, or else the only training. pytorch_home: where
    pretrained weights lie that were not saved because the trunk was frozen (default as for the commands).

    The module is in evaluation mode, on the CPU; it takes B x 3 x height x width and gives B x D, L2-normalised
    unless the config says otherwise. A folder's ``configs/user_code`` is code of whoever made it, and it is run.
    Raises UserError for whatever is missing or contradictory.
    """
    path = Path(folder).expanduser().resolve()
    place = ExperimentFolder.of(path.name, path.parent)
    results = earlier_results(place.record)
    if results is None:
        raise UserError(
            "is not the folder of an experiment with a finished trial: no record.json.", where=str(place.path)
        )
    chosen = _trial(results, trial)
    config = _config(results, chosen, place)
    runs = _runs(results.runs[chosen.id], fold, ensemble)
    models = [FoldModel(run.fold, run.seed, str(place.path / run.folder), run.best_epoch or 0) for run in runs]
    home = {"pytorch_home": str(pytorch_home)} if pytorch_home else {}
    folds = load_folds(config, find_roots(home).places, models)
    if config.freeze_trunk:
        for run, embedder in zip(runs, folds, strict=True):
            _refuse_other_weights(results, run, embedder.trunk)
    module = folds[0] if fold is not None or ensemble is False else EnsembleEmbedder(config, folds).eval()
    return LoadedModel(module, EvalTransform(config, folds[0].trunk.input))


def _trial(results: ExperimentResults, label: str | None) -> TrialRow:
    ended = {trial.label: trial for trial in results.trials if trial.state == "done"}
    if label is None and results.shown is not None:
        return results.shown
    if not isinstance(label, str) or label not in ended:
        wanted = "" if label is None else f" {label}"
        there = f"; there are {', '.join(ended)}" if ended else ""
        near = nearest(wanted.strip(), ended)
        raise UserError(f"{results.experiment.name} has no finished trial{wanted}{there}.", near=near)
    return ended[label]


def _refuse_other_weights(results: ExperimentResults, run: RunRow, trunk: Trunk) -> None:
    """Raise UserError if a frozen trunk does not have the weights that the embedder was trained on."""
    recorded = next((row.content for row in results.environments if row.id == run.environment_id), {})
    if recorded.get("weights", trunk.weights_hash) != trunk.weights_hash:
        raise UserError(
            f"the trunk was frozen, and its weights are not those that fold {run.fold} was trained with: they were "
            f"{recorded.get('trunk')} (SHA-256 {recorded['weights']}), and those found now are {trunk.identity} "
            f"(SHA-256 {trunk.weights_hash}). Put the former where the config or pytorch_home says."
        )


def _config(results: ExperimentResults, trial: TrialRow, folder: ExperimentFolder) -> ExperimentConfig:
    """What the trial was trained with, the user's own files at their place in the folder."""
    stored = MergedConfig.from_plain(results.experiment.config)
    merged = stored.with_categories(located_unchanged(stored.plain(), folder.user_code))
    return typed(fill(merged, trial.parameters), merged)


def _runs(runs: Sequence[RunRow], fold: int | None, ensemble: bool | None) -> list[RunRow]:
    """The fold runs to load."""
    if fold is None:
        if ensemble is False and len(runs) > 1:
            raise UserError(f"which fold? Give one of {', '.join(str(run.fold) for run in runs)}, or ensemble=True.")
        return list(runs)
    if ensemble:
        raise UserError("the ensemble has all folds: leave out fold, or ensemble.")
    found = [run for run in runs if run.fold == fold]
    if not found:
        raise UserError(f"there is no fold {fold}; there are {', '.join(str(run.fold) for run in runs)}.")
    return found
