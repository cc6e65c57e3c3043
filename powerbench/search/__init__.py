"""Hyperparameter search: the space, proposals as a pure function of earlier trials, and any objective searched so."""

from powerbench.search.optimising import Optimised, Trial, optimise
from powerbench.search.proposing import Outcome, Strategy, initial_points, propose, visible
from powerbench.search.space import Parameter, Space, space_of

__all__ = [
    "Optimised",
    "Outcome",
    "Parameter",
    "Space",
    "Strategy",
    "Trial",
    "initial_points",
    "optimise",
    "propose",
    "space_of",
    "visible",
]
