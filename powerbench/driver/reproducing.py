"""Training an earlier experiment's chosen setting again, and what is remembered of the earlier one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meta_logs.formatting import parameters_text
from meta_logs.logged import keep_logged
from meta_logs.reproduced import Reproduced, remember, reproduced_by
from powerbench.config.merged import MergedConfig
from powerbench.config.search_keys import search_keys
from powerbench.driver.folder import ExperimentFolder, check_name
from powerbench.driver.opening import open_experiment, prepare_config
from powerbench.driver.origin import Origin, read_origin
from powerbench.driver.preparing import Prepared
from powerbench.driver.requests import Request, result_changes
from powerbench.driver.running import evaluate_experiment, run_experiment
from powerbench.driver.user_code import adopt
from powerbench.errors import UserError
from powerbench.jobs import MODES
from powerbench.plan import Budget
from powerbench.roots import Roots
from powerbench.seeding import seed_of

if TYPE_CHECKING:
    from powerbench.driver.work import Work
    from powerbench.store.store import Store


@dataclass(frozen=True)
class Reproduction:
    """A checked request to reproduce ``origin`` as a new experiment."""

    name: str
    origin: Origin
    prepared: Prepared
    same_seed: bool

    @property
    def description(self) -> str:
        """What will be trained, in a sentence."""
        origin, budget = self.origin, self.prepared.budget
        best = origin.results.best if origin.results else None
        setting = f" (search trial {best.number}: {parameters_text(best.parameters)})" if best else ""
        parts = ["the single training"] if budget.single else []
        parts += ["the chosen trial itself"] if budget.repeats is not None else []
        parts += [_count(budget.reproductions, origin)] if budget.reproductions else []
        seeds = "with the same seed" if self.same_seed else f"with new seeds (seed {self.prepared.config.seed})"
        return f"{self.name} reproduces {origin.name}{setting}: {' and '.join(parts)}, {seeds}."


def prepare_reproduction(
    path: Path,
    request: Request,
    roots: Roots,
    store: Store | None,
    *,
    as_many: bool,
    same_seed: bool,
    with_data: bool = True,
) -> Reproduction:
    """Check a request to reproduce the experiment in the folder ``path``; write nothing.

    ``as_many``: as many reproductions as there were, whatever the request's budget says. Raises :class:`UserError`
    for whatever is wrong.
    """
    check_name(request.name)
    if request.budget.trials:
        raise UserError("a reproduction trains one setting and searches nothing: leave out --bayes_opt_iters.")
    folder = ExperimentFolder.of(request.name, roots.experiments)
    origin = read_origin(path, request.config_names, roots.config_folder, request.overridden)
    if origin.folder.path in (folder.path, folder.path.parent):
        raise UserError(f"{request.name} is the experiment to reproduce; give the new one another --experiment_name.")
    merged = _new_config(origin, request, same_seed)
    budget = _new_budget(origin, None if as_many else request.budget.reproductions, same_seed)
    known = store.experiment(request.name) if store else None
    if known is not None:
        _refuse_other_experiment(request.name, folder, known.config, merged)
        budget = Budget.from_plain(known.budget).at_least(budget)
    prepared = prepare_config(request.name, merged, budget, roots, store, merge=request.merge, with_data=with_data)
    return Reproduction(request.name, origin, prepared, same_seed)


def run_reproduction(reproduction: Reproduction, roots: Roots, store: Store, work: Work) -> None:
    """Train and evaluate it, or continue; first its folder remembers what it reproduces."""
    origin, prepared = reproduction.origin, reproduction.prepared
    changed = tuple(origin.changes(prepared.merged.categories))
    folder = ExperimentFolder.of(reproduction.name, roots.experiments).path
    remember(folder, Reproduced(str(origin.folder.path), changed), origin.record)
    if origin.logged is not None:
        keep_logged(folder, origin.logged)
    with open_experiment(reproduction.name, prepared, roots, store) as experiment:
        run_experiment(experiment, work)
        if prepared.budget.single:
            evaluate_experiment(experiment, work, ["test"], MODES, again=False)


def _new_config(origin: Origin, request: Request, same_seed: bool) -> MergedConfig:
    """The earlier config with the command line's keys, and with a seed of its own unless the same is wanted."""
    asked = origin.merged.with_overrides(request.overrides)
    changed = result_changes(origin.merged.categories, asked.categories)
    if changed and not request.merge:
        raise UserError(
            f"a reproduction has the settings of {origin.folder.path}; the command changes {', '.join(changed)}. Leave "
            "that out, or add --merge_argparse_when_resuming to reproduce it with these changes."
        )
    if same_seed and origin.given is not None:
        raise UserError(f"there are no seeds in {origin.folder.path}: leave out --same_seed.")
    if "seed" in changed and same_seed:
        raise UserError("--same_seed keeps the seed: leave out --seed.")
    if search_keys(asked):
        raise UserError("a reproduction searches nothing: give the keys of the command line fixed values.")
    if same_seed or "seed" in changed:
        return asked
    seed = int(origin.merged.flat().get("seed", 0))
    return asked.with_overrides({"seed": seed_of(seed=seed, reproduction=request.name)}, "--reproduce_results")


def _new_budget(origin: Origin, numbers: tuple[int, ...] | None, same_seed: bool) -> Budget:
    """The reproductions asked for, or as many as there were; with the same seed, the chosen trial too."""
    earlier = origin.budget if same_seed else Budget(0, origin.reproductions or (0,))
    if numbers is None:
        return earlier
    if earlier.single and numbers:
        raise UserError(
            f"{origin.name} is a single training, which --same_seed repeats as it was: leave out --reproductions."
        )
    if not numbers and earlier.repeats is None:
        raise UserError("--reproductions takes 1 or more here.")
    return Budget(0, numbers, earlier.repeats)


def _refuse_other_experiment(
    name: str, folder: ExperimentFolder, stored: Mapping[str, Any], asked: MergedConfig
) -> None:
    """Only a reproduction of the same with the same settings is continued."""
    if reproduced_by(folder.path) is None:
        raise UserError(f"{name} exists and reproduces nothing; give the new experiment another --experiment_name.")
    named_by_hash, _ = adopt(asked.categories, None)
    changed = result_changes(stored, named_by_hash)
    if changed:
        raise UserError(
            f"{name} exists with other settings; the command changes {', '.join(changed)}. Repeat the command that "
            "began it, or give another --experiment_name."
        )


def _count(numbers: tuple[int, ...], origin: Origin) -> str:
    count = "1 reproduction" if len(numbers) == 1 else f"{len(numbers)} reproductions"
    if origin.results is None and not origin.reproductions:
        return f"{count} (without record.json nobody knows how many it had)"
    return (
        f"{count} (as many as it had)"
        if numbers == origin.reproductions
        else f"{count} (it had {len(origin.reproductions)})"
    )
