"""Runs the methods of a suite that are not finished, and knows how far each is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from powerbench.config.merged import MergedConfig
from powerbench.console import complain
from powerbench.driver.folder import ExperimentFolder
from powerbench.driver.importing import import_record, store_that_knows
from powerbench.driver.opening import is_finished, open_experiment, outline_request, prepare_request
from powerbench.driver.preparing import Prepared
from powerbench.driver.requests import Request
from powerbench.driver.running import run_experiment
from powerbench.driver.statuses import planned_search
from powerbench.driver.suites import Part
from powerbench.driver.work import Work
from powerbench.errors import PowerbenchError, UserError
from powerbench.plan import Budget
from powerbench.protocol import refuse_unfair
from powerbench.roots import Roots

if TYPE_CHECKING:
    from powerbench.store.rows import ExperimentRow
    from powerbench.store.store import Store


SHARED_BY_ALL = {"seed": 0, "confidence": 0.95, "include_best": False}
"""Keys beside the protocol's that are equal for all methods of a table, and what they are where a config lacks them."""


def prepare_part(part: Part, roots: Roots) -> dict[str, Prepared]:
    """Check every method that is not finished, before the first one trains; a finished one needs no libraries.

    Raises :class:`UserError` for whatever is wrong, and unless all methods share protocol, seed and intervals.
    """
    left: dict[str, Prepared] = {}
    fixed: dict[str, tuple[Mapping[str, Any], Mapping[str, Any]]] = {}
    for method, request in part.requests.items():
        with _told_of(method), store_that_knows(request.name, roots) as store:
            finished = _finished(request, roots, store)
            if finished is None:
                left[method] = prepare_request(request, roots, store)
                fixed[method] = left[method].protocol, left[method].merged.flat()
            else:
                fixed[method] = finished.protocol, MergedConfig.from_plain(finished.config).flat()
    _refuse_unequal(part, fixed)
    return left


def plan_part(part: Part, roots: Roots) -> dict[str, Prepared]:
    """Every method as if nothing were trained yet; needs no data. Raises :class:`UserError` as :func:`prepare_part`."""
    prepared = {}
    for method, request in part.requests.items():
        with _told_of(method):
            prepared[method] = prepare_request(request, roots, None, with_data=False)
    _refuse_unequal(part, {method: (item.protocol, item.merged.flat()) for method, item in prepared.items()})
    return prepared


def _finished(request: Request, roots: Roots, store: Store | None) -> ExperimentRow | None:
    """A method's experiment, if nothing is left to do for it."""
    known = store.experiment(request.name) if store is not None else None
    if store is None or known is None:
        return None
    folder = ExperimentFolder.of(request.name, roots.experiments)
    return known if is_finished(request.name, outline_request(request, roots, store), store, folder) else None


@contextmanager
def _told_of(method: str) -> Iterator[None]:
    """What is wrong is wrong with ``method``."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{method}: {error.what}", where=error.where, near=error.near) from error


def _refuse_unequal(part: Part, fixed: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any]]]) -> None:
    """Raise a :class:`UserError` unless protocols, seeds, and what the intervals are taken over agree."""
    refuse_unfair({method: protocol for method, (protocol, _) in fixed.items()})
    for key, default in SHARED_BY_ALL.items():
        values = {config.get(key, default) for _, config in fixed.values()}
        if len(values) > 1:
            raise UserError(f"the methods of a suite share one {key}, but {part.name} has {sorted(values)}.")


def take_up_folders(part: Part, roots: Roots, store: Store) -> None:
    """Take experiments whose folders were copied here without their store into the store."""
    for name in part.experiments.values():
        import_record(name, roots, store)


def run_part(part: Part, prepared: Mapping[str, Prepared], roots: Roots, store: Store, work: Work) -> list[str]:
    """Run the prepared methods one after the other; the names of those that failed, which stop no other."""
    from powerbench.store.lease import LeaseLost

    failed = []
    for method, item in prepared.items():
        try:
            with open_experiment(part.requests[method].name, item, roots, store) as experiment:
                run_experiment(experiment, work)
        except LeaseLost:
            raise
        except PowerbenchError as error:
            if error.exit_status != PowerbenchError.exit_status:
                raise
            complain(f"{part.requests[method].name}: {error}")
            failed.append(part.requests[method].name)
    return failed


def planned_budgets(part: Part, store: Store) -> dict[str, Budget]:
    """What each method is to reach: what the suite asks for, or more if its experiment was given more."""
    return {method: _planned(store.experiment(name), part.budget) for method, name in part.experiments.items()}


def _planned(known: ExperimentRow | None, asked: Budget) -> Budget:
    if known is None:
        return asked
    budget = Budget.from_plain(known.budget).at_least(asked)
    return Budget(planned_search(known, budget), budget.reproductions)
