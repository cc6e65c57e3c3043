"""Experiments are opened here: created with their first row and their folder, or taken up from the store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from powerbench.config.merged import MergedConfig
from powerbench.driver.evaluating import evaluated_trials, has_evaluations
from powerbench.driver.experiment import Experiment
from powerbench.driver.folder import ExperimentFolder, check_name
from powerbench.driver.preparing import GIVEN, Prepared, outline, prepare
from powerbench.driver.requests import Request, changed_paths, method_changes, requested_config
from powerbench.driver.user_code import copy_files
from powerbench.errors import UserError, nearest
from powerbench.files import remove_leftovers
from powerbench.jobs import MODES
from powerbench.plan import Budget
from powerbench.protocol import OF_OPENED_DATA, continued, fingerprint
from powerbench.roots import Roots

if TYPE_CHECKING:
    from powerbench.store.store import Store


def prepare_request(request: Request, roots: Roots, store: Store | None, *, with_data: bool = True) -> Prepared:
    """Check a request against the store, the libraries and the data; write nothing.

    ``store`` is ``None`` if there is none yet.
    """
    merged, budget, _ = _requested(request, roots, store)
    return prepare_config(request.name, merged, budget, roots, store, merge=request.merge, with_data=with_data)


def prepare_config(
    name: str,
    merged: MergedConfig,
    budget: Budget,
    roots: Roots,
    store: Store | None,
    *,
    merge: bool,
    with_data: bool = True,
) -> Prepared:
    """Check the config and the budget that an experiment is to have; write nothing.

    ``merge``: the experiment may go on with other data than those of its earlier runs.
    """
    folder = ExperimentFolder.of(name, roots.experiments)
    if folder.path.exists() and not folder.path.is_dir():
        raise UserError(f"{folder.path} is a file: take another --experiment_name, or move the file away.")
    prepared = prepare(merged, budget, roots, user_code=folder.user_code, with_data=with_data)
    if store is not None:
        _refuse_late_first_trials(name, prepared, store)
        _refuse_other_parameters(name, prepared, store)
        prepared = _as_searched(name, prepared, store, merge)
        if with_data and not merge:
            _refuse_other_data(name, prepared, store)
    if with_data and not (store and is_finished(name, prepared, store, folder)):
        prepared.rehearse(roots, folder.user_code)
    return prepared


def outline_request(request: Request, roots: Roots, store: Store | None) -> Prepared:
    """What a request comes to, as far as it needs neither libraries nor data: enough to see whether it is finished."""
    merged, budget, folder = _requested(request, roots, store)
    return outline(merged, budget, user_code=folder.user_code)


def _requested(request: Request, roots: Roots, store: Store | None) -> tuple[MergedConfig, Budget, ExperimentFolder]:
    check_name(request.name)
    known = store.experiment(request.name) if store is not None else None
    folder = ExperimentFolder.of(request.name, roots.experiments)
    return *requested_config(request, known, roots.config_folder, folder.user_code), folder


def _refuse_late_first_trials(name: str, prepared: Prepared, store: Store) -> None:
    """First trials are given before a search begins: the protocol counts them."""
    known = store.experiment(name)
    for trial in store.trials(known.id, "search") if known else ():
        was_given = (trial.proposal or {}).get("strategy") == GIVEN
        if was_given != (trial.number < len(prepared.first_trials)) or (
            was_given and trial.parameters != prepared.first_trials[trial.number]
        ):
            raise UserError(
                f"the search of {name} has begun with other first trials ({trial.number} is another one); they cannot "
                "change any more. Start a new experiment, or leave first_trials as it was."
            )


def _refuse_other_parameters(name: str, prepared: Prepared, store: Store) -> None:
    """Bounds may change during a search, but not what is searched: earlier trials would have no place in it."""
    known = store.experiment(name)
    searched = {parameter.path for parameter in prepared.space.parameters}
    for trial in store.trials(known.id, "search") if known else ():
        if trial.parameters.keys() != searched:
            raise UserError(
                f"the search of {name} has trials over {', '.join(trial.parameters) or 'nothing'}, but now "
                f"{', '.join(sorted(searched)) or 'nothing'} is to be searched. Only bounds and lists of values can "
                "change while a search goes on: take another --experiment_name."
            )


def _as_searched(name: str, prepared: Prepared, store: Store, merge: bool) -> Prepared:
    """With the version of the search that proposed all trials, if they are complete.

    What proposes may change with a release. Raises UserError for a search that would go on with another version,
    unless it may (``merge``).
    """
    known = store.experiment(name)
    trials = store.trials(known.id, "search") if known else []
    if known is None or not any((trial.proposal or {}).get("strategy") == "ax" for trial in trials):
        return prepared
    before, now = (protocol.get("search_version", 1) for protocol in (known.protocol, prepared.protocol))
    if len(trials) >= prepared.planned_search_trials:
        return replace(prepared, search_version=before)
    if before != now and prepared.config.search_strategy == "ax" and not merge:
        raise UserError(
            f"the search of {name} was begun by version {before} of the search; this is version {now}, which proposes "
            "other trials after the same results. Finish it with the release that began it, take another "
            "--experiment_name, or add --merge_argparse_when_resuming to continue with this one; its results are then "
            "marked as mixed and compared with no others."
        )
    return prepared


def _refuse_other_data(name: str, prepared: Prepared, store: Store) -> None:
    """Data and weights files can change under an unchanged config; then its results would be of two kinds."""
    known = store.experiment(name)
    if known is None or not any(
        run.state != "running" for trial in store.trials(known.id) for run in store.runs(trial.id)
    ):
        return
    changed = [
        key for key in OF_OPENED_DATA if key in known.protocol and known.protocol[key] != prepared.protocol.get(key)
    ]
    if changed:
        raise UserError(
            f"{name} has results on other data: {', '.join(changed)} changed since (dataset "
            f"{prepared.config.dataset.name}, trunk {prepared.config.models.trunk.name}). Bring the earlier ones back, "
            "take another --experiment_name, or add --merge_argparse_when_resuming to continue with these; its results "
            "are then marked as mixed and compared with no others."
        )


def require_known(name: str, store: Store | None, roots: Roots, flags: str) -> None:
    """Raise a :class:`UserError` unless the store has an experiment of that name; ``flags`` need one."""
    known = [row.name for row in store.experiments()] if store is not None else []
    if name not in known:
        raise UserError(
            f"there is no experiment {name} in {roots.store_url} yet; train it first, without {flags}.",
            near=nearest(name, known),
        )


def is_finished(name: str, prepared: Prepared, store: Store, folder: ExperimentFolder) -> bool:
    """Whether everything that was asked for is in the store: nothing is left to train, evaluate or write anew.

    An outline (:func:`outline_request`) is enough of ``prepared``.
    """
    known = store.experiment(name)
    if known is None or known.budget != prepared.budget.plain() or known.config_hash != prepared.merged.hash:
        return False
    trials = store.trials(known.id)
    if len(trials) < prepared.planned_trials or any(trial.state == "running" for trial in trials):
        return False
    evaluated = (has_evaluations(store, prepared.config, trial, ["test"], MODES) for trial in evaluated_trials(trials))
    return all(evaluated) and folder.record.is_file() and folder.record.read_text("utf-8") == store.record(name)


@contextmanager
def open_experiment(name: str, prepared: Prepared, roots: Roots, store: Store) -> Iterator[Experiment]:
    """Create the experiment or take it up, and hold it alone until the block ends."""
    folder = ExperimentFolder.of(name, roots.experiments)
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
        remove_leftovers(folder.path)
        experiment = Experiment(known.id, name, store, folder, prepared, roots.places)
        _write_configs(experiment, bool(changed_paths(known.config, prepared.merged.plain())))
        begun = any(run.state != "running" for trial in experiment.trials() for run in store.runs(trial.id))
        changes = method_changes(known.config, prepared.merged.plain())
        protocol = continued(known.protocol, prepared.protocol, changes) if begun else prepared.protocol
        store.update_experiment(
            name,
            config=prepared.merged.plain(),
            config_hash=prepared.merged.hash,
            protocol=protocol,
            fingerprint=fingerprint(protocol),
            budget=prepared.budget.plain(),
            folder=folder.path,
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
