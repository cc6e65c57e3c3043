"""Hyperparameter search: the space, and proposals as a pure function of earlier trials."""

from powerbench.search.proposing import Outcome, Strategy, initial_points, propose, visible
from powerbench.search.space import Parameter, Space, space_of

__all__ = ["Outcome", "Parameter", "Space", "Strategy", "initial_points", "propose", "space_of", "visible"]
