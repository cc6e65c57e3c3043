"""Ax's model-based proposal, from a client that is rebuilt every time. The only module that imports Ax."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
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
    """What Ax proposes after these trials, with our surrogate model and acquisition function; None if it cannot.

    All trials are attached in index order. One without an outcome is pending; a failed one is
    abandoned, because Ax proposes failed points again and stays away from abandoned ones. Ax searches
    the unit cube: every parameter on its own scale, discrete ones in equal bins (see :class:`~powerbench.search.
    gaussian_process.Axes`). The noise is inferred: a standard error over folds is mostly their difficulty, which all
    trials share, and telling it hides from the model what the trials say.
    """
    if all(parameter.size == 1 for parameter in space.parameters):
        return None
    with quiet(), one_thread(), seeded(seed_of(seed=seed, index=len(parameters), purpose="proposal")):
        from ax.exceptions.core import AxError
        from botorch.exceptions.errors import BotorchError

        try:
            client = _client(space, metric)
            _attach(client, space, parameters, outcomes, metric)
            (proposed,) = client.get_next_trials(max_trials=1).values()
        except (AxError, BotorchError, RuntimeError) as error:
            failure = f"{type(error).__name__}: {error}"
        else:
            return _from_ax(space, proposed)
    logger.warning("no model for trial %d, a Sobol point is used instead (%s)", len(parameters), failure)
    return None


def _client(space: Space, metric: str) -> Any:
    from ax.api.client import Client
    from ax.api.configs import RangeParameterConfig

    client = Client()  # random numbers come from the seeded block around it
    free = _free(space)
    client.configure_experiment(
        parameters=[RangeParameterConfig(name=name, bounds=(0.0, 1.0), parameter_type="float") for name in free]
    )
    client.configure_optimization(objective=metric)
    client.set_generation_strategy(_strategy(list(free.values())))
    return client


def _strategy(parameters: Sequence[Parameter]) -> Any:
    """Ax's modular BoTorch generator, one model for all trials, whose parameters lie in the unit cube."""
    import torch
    from ax.adapter.registry import Generators
    from ax.generation_strategy.generation_strategy import GenerationNode, GenerationStrategy
    from ax.generation_strategy.generator_spec import GeneratorSpec
    from ax.generators.torch.botorch_modular.surrogate import SurrogateSpec
    from ax.generators.torch.botorch_modular.utils import ModelConfig

    from powerbench.search.ensemble import Mixture, NoisyExpectedImprovement
    from powerbench.search.gaussian_process import Axes

    axes = Axes(
        levels=torch.tensor([float(parameter.size or 0) for parameter in parameters], dtype=torch.float64),
        ordered=torch.tensor([parameter.kind != "choice" for parameter in parameters]),
    )
    config = ModelConfig(botorch_model_class=Mixture, model_options={"axes": axes}, input_transform_classes=None)
    arguments = {
        "surrogate_spec": SurrogateSpec(model_configs=[config]),
        "acquisition_class": _acquisition_class(),
        "botorch_acqf_class": NoisyExpectedImprovement,
        "transforms": [],
    }
    specification = GeneratorSpec(Generators.BOTORCH_MODULAR, generator_kwargs=arguments)
    node = GenerationNode("mixture", [specification], should_deduplicate=False)
    return GenerationStrategy(name="mixture", nodes=[node])


@cache
def _acquisition_class() -> type:
    """Ax's acquisition, built and maximised as :mod:`powerbench.search.ensemble` does it; Ax learns how to fit it."""
    import torch
    from ax.generators.torch.botorch_modular.acquisition import Acquisition
    from ax.generators.torch.botorch_modular.utils import fit_botorch_model

    from powerbench.search.ensemble import Mixture, NoisyExpectedImprovement, best_candidate

    fit_botorch_model.register(Mixture)(lambda model, **_: model.fit())

    class ImprovementOfMixture(Acquisition):  # type: ignore[misc]
        def _instantiate_acquisition(self) -> None:
            self.acqf = NoisyExpectedImprovement(self.surrogate.model, self.X_pending)
            self.models_used = [self.surrogate.model_name_by_metric]
            self.acq_function_sequence = None

        def optimize(self, n: int, **_: Any) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
            assert n == 1
            point, value = best_candidate(self.acqf)
            return point, value, torch.ones(1, dtype=point.dtype)

    return ImprovementOfMixture


def _attach(
    client: Any,
    space: Space,
    parameters: Sequence[Mapping[str, Any]],
    outcomes: Sequence[Outcome | None],
    metric: str,
) -> None:
    """Attach the trials in index order and what came of them in one table: trial by trial, Ax sorts all data anew."""
    from ax.core.data import Data, DataRow

    experiment = client._experiment
    rows = []
    for point, outcome in zip(parameters, outcomes, strict=True):
        coordinates = {name: parameter.to_unit(point.get(parameter.path)) for name, parameter in _free(space).items()}
        if None in coordinates.values():  # it has no place in the space as it is now
            continue
        index = client.attach_trial(parameters=coordinates)
        if outcome is None:
            continue
        if outcome.failed:
            client.mark_trial_abandoned(index)
        else:
            rows.append(DataRow(index, experiment.trials[index].arm.name, metric, metric, outcome.mean, math.nan))
    if rows:
        experiment.attach_data(Data(data_rows=rows))
    for row in rows:
        experiment.trials[row.trial_index].mark_completed()


def _free(space: Space) -> dict[str, Parameter]:
    """The parameters that can vary, named ``x<number>``, because Ax wants identifiers."""
    return {f"x{i}": parameter for i, parameter in enumerate(space.parameters) if parameter.size != 1}


def _from_ax(space: Space, proposed: Mapping[str, Any]) -> dict[str, Any]:
    return space.from_unit([proposed.get(f"x{number}", 0.5) for number in range(len(space.parameters))])


@contextmanager
def quiet() -> Iterator[None]:
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
def one_thread() -> Iterator[None]:
    """The number of threads changes the last bits of a fit, so it is always one."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
