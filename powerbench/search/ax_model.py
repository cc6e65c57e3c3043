"""Ax's model-based proposal, from a client that is rebuilt every time. The only module that imports Ax."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from powerbench.search.space import Parameter, Space
from powerbench.seeding import seed_of, seeded

if TYPE_CHECKING:
    from powerbench.search.proposing import Outcome

logger = logging.getLogger(__name__)


def model_point(
    space: Space,
    *,
    seed: int,
    parameters: Sequence[Mapping[str, Any]],
    outcomes: Sequence[Outcome | None],
    metric: str,
) -> dict[str, Any] | None:
    """What Ax's Gaussian process and acquisition function propose after these trials; None if they cannot.

    All trials are attached in index order. One without an outcome is pending; a failed one is
    abandoned, because Ax proposes failed points again and stays away from abandoned ones. Whole
    numbers and ordered choices are searched as floats and rounded: Ax's own mixed search takes
    several times as long.
    """
    if all(parameter.size == 1 for parameter in space.parameters):
        return None
    with _quiet(), _one_thread(), seeded(seed_of(seed=seed, index=len(parameters), purpose="proposal")):
        from ax.exceptions.core import AxError
        from botorch.exceptions.errors import BotorchError, ModelFittingError

        try:
            client = _client(space, metric)
            _attach(client, space, parameters, outcomes, metric)
            (proposed,) = client.get_next_trials(max_trials=1).values()
        except (AxError, BotorchError, ModelFittingError, RuntimeError) as error:
            failure = f"{type(error).__name__}: {error}"
        else:
            return _from_ax(space, proposed)
    logger.warning("no model for trial %d, a Sobol point is used instead (%s)", len(parameters), failure)
    return None


def _client(space: Space, metric: str) -> Any:
    from ax.api.client import Client

    client = Client()  # random numbers come from the seeded block around it
    client.configure_experiment(parameters=[_ax_parameter(i, p) for i, p in _free(space)])
    client.configure_optimization(objective=metric)
    client.configure_generation_strategy(
        method="fast", initialization_budget=0, initialize_with_center=False, torch_device="cpu"
    )
    return client


def _attach(
    client: Any,
    space: Space,
    parameters: Sequence[Mapping[str, Any]],
    outcomes: Sequence[Outcome | None],
    metric: str,
) -> None:
    """Attach the trials in index order and what came of them in one table: trial by trial, Ax sorts all data anew."""
    from ax.core.data import Data, DataRow

    noise_known = all(o is None or o.failed or o.sem is not None for o in outcomes)
    experiment = client._experiment
    rows = []
    for point, outcome in zip(parameters, outcomes, strict=True):
        coordinates = _to_ax(space, point)
        if coordinates is None:
            continue
        index = client.attach_trial(parameters=coordinates)
        if outcome is None:
            continue
        if outcome.failed:
            client.mark_trial_abandoned(index)
        else:
            sem = outcome.sem if noise_known and outcome.sem is not None else math.nan
            rows.append(DataRow(index, experiment.trials[index].arm.name, metric, metric, outcome.mean, sem))
    if rows:
        experiment.attach_data(Data(data_rows=rows))
    for row in rows:
        experiment.trials[row.trial_index].mark_completed()


def _free(space: Space) -> list[tuple[int, Parameter]]:
    return [(i, parameter) for i, parameter in enumerate(space.parameters) if parameter.size != 1]


def _ax_parameter(number: int, parameter: Parameter) -> Any:
    """An Ax parameter named ``x<number>``, because Ax wants identifiers."""
    from ax.api.configs import ChoiceParameterConfig, RangeParameterConfig

    name = f"x{number}"
    if parameter.kind == "choice":
        labels = [str(i) for i in range(len(parameter.values))]
        return ChoiceParameterConfig(name=name, values=labels, parameter_type="str", is_ordered=False)
    if parameter.size is not None:
        bounds = (-0.5, parameter.size - 0.5)
        return RangeParameterConfig(name=name, bounds=bounds, parameter_type="float")
    scaling = "log" if parameter.log else "linear"
    return RangeParameterConfig(
        name=name, bounds=(parameter.low, parameter.high), parameter_type="float", scaling=scaling
    )


def _to_ax(space: Space, point: Mapping[str, Any]) -> dict[str, Any] | None:
    """A trial in Ax's coordinates; None if it has no place in the space as it is now."""
    coordinates = {f"x{i}": _coordinate(parameter, point.get(parameter.path)) for i, parameter in _free(space)}
    return None if None in coordinates.values() else coordinates


def _coordinate(parameter: Parameter, value: Any) -> str | float | None:
    """Where ``value`` lies on Ax's axis; None for a removed choice, or after a change of the operator."""
    if parameter.values:
        position = parameter.position(value)
        if position is None:
            return None
        return str(position) if parameter.kind == "choice" else float(position)
    if not isinstance(value, int | float) or (parameter.log and value <= 0):
        return None
    return float(value - parameter.low) if parameter.kind == "int" else float(value)


def _from_ax(space: Space, proposed: Mapping[str, Any]) -> dict[str, Any]:
    point = {}
    for number, parameter in enumerate(space.parameters):
        if parameter.size == 1:
            point[parameter.path] = parameter.at(0)
        elif parameter.kind == "choice":
            point[parameter.path] = parameter.at(int(proposed[f"x{number}"]))
        elif parameter.size is not None:
            point[parameter.path] = parameter.nearest(proposed[f"x{number}"])
        else:
            point[parameter.path] = parameter.clip(proposed[f"x{number}"])
    return point


@contextmanager
def _quiet() -> Iterator[None]:
    """Ax reports every step at INFO, and warns about trials outside the bounds, which are expected here."""
    disabled = logging.root.manager.disable
    logging.disable(max(disabled, logging.WARNING))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)


@contextmanager
def _one_thread() -> Iterator[None]:
    """The number of threads changes the last bits of a fit, so it is always one."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
