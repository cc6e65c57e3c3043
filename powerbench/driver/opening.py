"""Experiments are opened here: created with their first row and their folder, or taken up from the store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from powerbench.driver.evaluating import evaluated_trials, has_evaluations
from powerbench.driver.experiment import Experiment
from powerbench.driver.folder import ExperimentFolder, check_name
from powerbench.driver.preparing import Prepared, prepare
from powerbench.driver.requests import Request, changed_paths, requested_config
from powerbench.driver.user_code import copy_files
from powerbench.errors import UserError, nearest
from powerbench.jobs import MODES
from powerbench.roots import Roots

if TYPE_CHECKING:
    from powerbench.store.store import Store


def prepare_request(request: Request, roots: Roots, store: Store | None, *, with_data: bool = True) -> Prepared:
    """Check a request against the store, the libraries and the data; write nothing.

    ``store`` is ``None`` if there is none yet.
    """
    check_name(request.name)
    known = store.experiment(request.name) if store is not None else None
    merged, budget = requested_config(request, known, roots.config_folder)
    folder = ExperimentFolder(roots.experiments / request.name)
    prepared = prepare(merged, budget, roots, user_code=folder.user_code, with_data=with_data)
    if with_data and not (store and is_finished(request.name, prepared, store)):
        prepared.rehearse(roots, folder.user_code)
    return prepared


def require_known(name: str, store: Store | None, roots: Roots) -> None:
    """Raise a :class:`UserError` unless the store has an experiment of that name."""
    known = [row.name for row in store.experiments()] if store is not None else []
    if name not in known:
        raise UserError(
            f"there is no experiment {name} in {roots.store_url} to evaluate; train it first, without --evaluate and "
            "--evaluate_ensemble.",
            near=nearest(name, known),
        )


def is_finished(name: str, prepared: Prepared, store: Store) -> bool:
    """Whether everything that was asked for is in the store: nothing is left to train or evaluate."""
    known = store.experiment(name)
    if known is None or known.budget != prepared.budget.plain():
        return False
    trials = store.trials(known.id)
    if len(trials) < prepared.planned_trials or any(trial.state == "running" for trial in trials):
        return False
    return all(has_evaluations(store, prepared.config, trial, ["test"], MODES) for trial in evaluated_trials(trials))


@contextmanager
def open_experiment(name: str, prepared: Prepared, roots: Roots, store: Store) -> Iterator[Experiment]:
    """Create the experiment or take it up, and hold it alone until the block ends."""
    folder = ExperimentFolder(roots.experiments / name)
    known = store.experiment(name)
    if known is None:
        known = store.create_experiment(
            name,
            config=prepared.merged.plain(),
            config_hash=prepared.merged.hash,
            protocol=prepared.protocol,
            fingerprint=prepared.fingerprint,
            seed=prepared.config.seed,
            budget=prepared.budget.plain(),
            folder=str(folder.path),
        )
    with store.lease(known.id, folder.path):
        experiment = Experiment(known.id, name, store, folder, prepared, roots.places)
        _write_configs(experiment, bool(changed_paths(known.config, prepared.merged.plain())))
        store.update_experiment(
            name,
            config=prepared.merged.plain(),
            config_hash=prepared.merged.hash,
            protocol=prepared.protocol,
            fingerprint=prepared.fingerprint,
            budget=prepared.budget.plain(),
        )
        yield experiment


def _write_configs(experiment: Experiment, changed: bool) -> None:
    """The merged config, one YAML a category; an earlier version that differs is kept beside it."""
    folder = experiment.folder
    copy_files(experiment.prepared.user_files, folder.user_code)
    if changed and folder.configs.is_dir():
        number = len(list(folder.configs.glob("before_change_*")))
        earlier = folder.configs / f"before_change_{number}"
        earlier.mkdir()
        for path in sorted(folder.configs.glob("*.yaml")):
            path.rename(earlier / path.name)
    experiment.prepared.merged.save(folder.configs)
