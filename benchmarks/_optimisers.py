"""The optimisers that are compared: each gives the trials of a whole search, in the order of their proposal."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from powerbench.search import Outcome, Parameter, Space, Trial, optimise
from powerbench.search.ax_model import one_thread, quiet

Objective = Callable[[dict], Outcome]
Trials = Sequence[Trial]
INITIAL = 5


def ours(space: Space, objective: Objective, trials: int, parallel: int, seed: int) -> Trials:
    return optimise(space, objective, trials, parallel=parallel, seed=seed).trials


def sobol(space: Space, objective: Objective, trials: int, parallel: int, seed: int) -> Trials:
    return optimise(space, objective, trials, parallel=parallel, seed=seed, strategy="sobol").trials


def random(space: Space, objective: Objective, trials: int, parallel: int, seed: int) -> Trials:
    return optimise(space, objective, trials, parallel=parallel, seed=seed, strategy="random").trials


def ax(space: Space, objective: Objective, trials: int, parallel: int, seed: int) -> Trials:
    """Ax's fast strategy with its default budget, 5 Sobol points."""
    with quiet(), one_thread():
        return _ax(space, objective, trials, parallel, seed, centre=False)


def ax_centre(space: Space, objective: Objective, trials: int, parallel: int, seed: int) -> Trials:
    """Ax's fast strategy untouched: the centre, then Sobol points up to 5 in all."""
    with quiet(), one_thread():
        return _ax(space, objective, trials, parallel, seed, centre=True)


OPTIMISERS: dict[str, Callable[[Space, Objective, int, int, int], Trials]] = {
    "ours": ours,
    "ax": ax,
    "ax_centre": ax_centre,
    "sobol": sobol,
    "random": random,
}

HEARS_NOISE = ("ax", "ax_centre")
"""What the others propose does not depend on the standard errors that they are told."""


def _ax(space: Space, objective: Objective, trials: int, parallel: int, seed: int, *, centre: bool) -> Trials:
    """One client asked and told; it hears of a trial when ``parallel`` have been asked for, of the oldest first.

    A failed trial is marked as failed, as Ax's documentation has it.
    """
    from ax.exceptions.core import DataRequiredError

    names = {f"x{number}": parameter for number, parameter in enumerate(space.parameters)}  # Ax wants identifiers
    client = _client(names, seed, centre)
    tried: list[Trial] = []
    running: list[int] = []
    while len(tried) < trials:
        try:
            asked = client.get_next_trials(max_trials=1) if len(running) < parallel else {}
        except DataRequiredError:  # it waits for its initial points
            asked = {}
        for index, proposed in asked.items():
            point = {parameter.path: proposed[name] for name, parameter in names.items()}
            tried.append(Trial(point, objective(point)))
            running.append(index)
        if not asked or len(running) == parallel:
            index = running.pop(0)
            _tell(client, index, tried[index].outcome)
    return tried


def _client(parameters: dict[str, Parameter], seed: int, centre: bool):
    from ax.api.client import Client
    from ax.api.configs import RangeParameterConfig

    client = Client(random_seed=seed)
    client.configure_experiment(
        parameters=[
            RangeParameterConfig(
                name=name,
                bounds=(parameter.low, parameter.high),
                parameter_type=parameter.kind,  # "int" or "float": ranges only
                scaling="log" if parameter.log else "linear",
            )
            for name, parameter in parameters.items()
        ]
    )
    client.configure_optimization(objective="map_at_r")
    client.configure_generation_strategy(
        method="fast", initialization_budget=INITIAL, initialization_random_seed=seed, initialize_with_center=centre
    )
    return client


def _tell(client, index: int, outcome: Outcome) -> None:
    if outcome.failed:
        client.mark_trial_failed(index)
    else:
        value = outcome.mean if outcome.sem is None else (outcome.mean, outcome.sem)
        client.complete_trial(index, raw_data={"map_at_r": value})
