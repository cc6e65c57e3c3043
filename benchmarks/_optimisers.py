"""The optimisers that are compared: each gives the points of a whole search, in order."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable

from benchmarks._surfaces import Noisy
from powerbench.search import Outcome, optimise

Points = list[dict]
INITIAL = 5


def ours(objective: Noisy, trials: int, parallel: int, seed: int) -> Points:
    return _optimised(objective, trials, parallel, seed, "ax")


def sobol(objective: Noisy, trials: int, parallel: int, seed: int) -> Points:
    return _optimised(objective, trials, parallel, seed, "sobol")


def random(objective: Noisy, trials: int, parallel: int, seed: int) -> Points:
    return _optimised(objective, trials, parallel, seed, "random")


def published(objective: Noisy, trials: int, parallel: int, seed: int) -> Points:
    return list(objective.surface.published[:trials])


def ax(objective: Noisy, trials: int, parallel: int, seed: int) -> Points:
    """Ax's fast strategy with its default budget, 5 Sobol points."""
    return _ax(objective, trials, parallel, seed, centre=False)


def ax_centre(objective: Noisy, trials: int, parallel: int, seed: int) -> Points:
    """Ax's fast strategy untouched: the centre, then Sobol points up to 5 in all."""
    return _ax(objective, trials, parallel, seed, centre=True)


OPTIMISERS: dict[str, Callable[[Noisy, int, int, int], Points]] = {
    "ours": ours,
    "ax": ax,
    "ax_centre": ax_centre,
    "sobol": sobol,
    "random": random,
    "published": published,
}
MODEL_FREE = ("sobol", "random", "published")
"""What they hear of the noise, and how many run at a time, changes nothing."""


def _optimised(objective: Noisy, trials: int, parallel: int, seed: int, strategy: str) -> Points:
    found = optimise(objective.surface.space, objective, trials, parallel=parallel, seed=seed, strategy=strategy)
    return [trial.parameters for trial in found.trials]


def _ax(objective: Noisy, trials: int, parallel: int, seed: int, *, centre: bool) -> Points:
    """One client asked and told; ``parallel`` trials run, of which the oldest ends first."""
    import torch

    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    from ax.exceptions.core import DataRequiredError

    client = _client(objective, seed, centre)
    points: Points = []
    running: list[int] = []
    while len(points) < trials:
        try:
            asked = client.get_next_trials(max_trials=1) if len(running) < parallel else {}
        except DataRequiredError:  # it waits for its initial points
            asked = {}
        for index, point in asked.items():
            points.append(dict(point))
            running.append(index)
        if not asked or len(running) == parallel:
            index = running.pop(0)
            client.complete_trial(index, raw_data={"map_at_r": _told(objective(points[index]))})
    return points


def _client(objective: Noisy, seed: int, centre: bool):
    from ax.api.client import Client
    from ax.api.configs import RangeParameterConfig

    client = Client(random_seed=seed)
    client.configure_experiment(
        parameters=[
            RangeParameterConfig(
                name=parameter.path,
                bounds=(parameter.low, parameter.high),
                parameter_type="float",
                scaling="log" if parameter.log else "linear",
            )
            for parameter in objective.surface.space.parameters
        ]
    )
    client.configure_optimization(objective="map_at_r")
    client.configure_generation_strategy(
        method="fast", initialization_budget=INITIAL, initialization_random_seed=seed, initialize_with_center=centre
    )
    return client


def _told(outcome: Outcome):
    return outcome.mean if outcome.sem is None else (outcome.mean, outcome.sem)
