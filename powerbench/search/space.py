"""What is searched: named parameters, their ranges, and how they map to the unit cube."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from powerbench.errors import UserError

Kind = Literal["float", "int", "choice", "grid"]


class Key(Protocol):
    """A config key under one of the search operators, as :class:`powerbench.config.search_keys.SearchKey`."""

    @property
    def path(self) -> str:
        """Slash path of the parameter, such as ``loss_funcs/metric_loss/ContrastiveLoss/pos_margin``."""

    @property
    def operator(self) -> str:
        """``BAYESIAN``, ``LOG_BAYESIAN``, ``INT_BAYESIAN``, ``CHOICE_BAYESIAN`` or ``GRID``."""

    @property
    def value(self) -> Any:
        """What the user wrote: two bounds, or a list of choices."""

    @property
    def where(self) -> str | None:
        """The file, or the command line."""


@dataclass(frozen=True)
class Parameter:
    """One searched parameter.

    ``float`` and ``int`` lie in [low, high], both ends included; ``log`` searches a float's
    logarithm. ``choice`` values have no order, ``grid`` values have the order they were given in.
    """

    path: str
    kind: Kind
    low: float = 0.0
    high: float = 1.0
    log: bool = False
    values: tuple[Any, ...] = ()

    @property
    def size(self) -> int | None:
        """The number of distinct values; None for a float."""
        if self.kind == "float":
            return None
        return len(self.values) if self.values else int(self.high) - int(self.low) + 1

    def at(self, position: int) -> Any:
        """The value number ``position`` of an ``int``, ``choice`` or ``grid`` parameter."""
        return self.values[position] if self.values else int(self.low) + position

    def position(self, value: Any) -> int | None:
        """The place of ``value`` among the values of a ``choice`` or ``grid`` parameter; None if it is not there."""
        wanted = canonical(value)
        return next((i for i, item in enumerate(self.values) if canonical(item) == wanted), None)

    def nearest(self, position: float) -> Any:
        """The value whose bin of width 1 around its position holds ``position``, clipped to the range."""
        assert self.size is not None
        return self.at(min(max(math.floor(position + 0.5), 0), self.size - 1))

    def clip(self, value: float) -> float:
        """The float within the bounds that is nearest to ``value``."""
        return min(max(float(value), self.low), self.high)

    def from_unit(self, unit: float) -> Any:
        """The value at ``unit`` in [0, 1]: evenly spread, or evenly in the logarithm; discrete values in equal bins."""
        if self.size is not None:
            return self.nearest(unit * self.size - 0.5)
        if self.log:
            return self.clip(math.exp(math.log(self.low) + unit * (math.log(self.high) - math.log(self.low))))
        return self.clip(self.low + unit * (self.high - self.low))

    def to_unit(self, value: Any) -> float | None:
        """Where ``value`` lies: in [0, 1] if it is in the range, beyond if not; None for one that has no place here.

        Discrete values lie in the middle of their bins.
        """
        if self.values:
            position = self.position(value)
            return None if position is None else (position + 0.5) / len(self.values)
        if not isinstance(value, int | float) or (self.log and value <= 0):
            return None
        if self.size is not None:
            return (value - self.low + 0.5) / self.size
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


@dataclass(frozen=True)
class Space:
    """The searched parameters, in the order of the config."""

    parameters: tuple[Parameter, ...]

    @property
    def version(self) -> str:
        """A hash that changes whenever a parameter, a bound or a choice does."""
        return hashlib.sha256(canonical(dataclasses.asdict(self)).encode()).hexdigest()[:16]

    @property
    def is_grid(self) -> bool:
        """Whether everything searched is a list to be tried completely."""
        return bool(self.parameters) and all(parameter.kind == "grid" for parameter in self.parameters)

    def planned(self, strategy: str, trials: int) -> int:
        """How many of at most ``trials`` a search runs: a grid ends when it is complete, whatever the order."""
        return min(trials, self.grid_size) if trials and (self.is_grid or strategy == "grid") else trials

    @property
    def grid_size(self) -> int:
        """The number of points of the complete grid. Raises UserError unless every parameter is a list of values."""
        for parameter in self.parameters:
            if not parameter.values:
                raise UserError(
                    f"the search strategy 'grid' tries lists of values (~GRID~ or ~CHOICE_BAYESIAN~), but "
                    f"{parameter.path} is searched in a range; write {parameter.path}~GRID~: [...] or choose "
                    f"another search_strategy"
                )
        return math.prod(len(parameter.values) for parameter in self.parameters)

    def grid_point(self, index: int) -> dict[str, Any]:
        """Point ``index`` of the complete grid; the last parameter changes fastest."""
        if not 0 <= index < self.grid_size:
            raise ValueError(f"the grid has {self.grid_size} points, there is no point {index}")
        point = {}
        for parameter in reversed(self.parameters):
            index, position = divmod(index, len(parameter.values))
            point[parameter.path] = parameter.at(position)
        return {parameter.path: point[parameter.path] for parameter in self.parameters}

    def from_unit(self, unit: Sequence[float]) -> dict[str, Any]:
        """The point at coordinates in [0, 1], one per parameter."""
        return {parameter.path: parameter.from_unit(u) for parameter, u in zip(self.parameters, unit, strict=True)}


def canonical(value: Any) -> str:
    """JSON text that tells values apart: equal for equal values, different for 1, 1.0 and true."""
    return json.dumps(value, sort_keys=True, default=_plain)


def space_of(keys: Sequence[Key]) -> Space:
    """The space that the config's search operators span.

    Raises UserError for anything but two ascending numbers (positive for ``LOG_BAYESIAN``, whole
    for ``INT_BAYESIAN``) or a list of distinct values (``CHOICE_BAYESIAN``, ``GRID``).
    """
    seen: dict[str, Key] = {}
    for key in keys:
        if key.path in seen:
            raise UserError(
                f"{key.path} is searched by ~{seen[key.path].operator}~ and ~{key.operator}~", where=key.where
            )
        seen[key.path] = key
    return Space(tuple(_parameter(key) for key in keys))


def _parameter(key: Key) -> Parameter:
    if key.operator in ("CHOICE_BAYESIAN", "GRID"):
        return Parameter(key.path, "grid" if key.operator == "GRID" else "choice", values=_choices(key))
    if key.operator not in ("BAYESIAN", "LOG_BAYESIAN", "INT_BAYESIAN"):
        raise _error(key, "is not a search operator")
    low, high = _bounds(key)
    if key.operator == "INT_BAYESIAN":
        if low != int(low) or high != int(high):
            raise _error(key, f"needs whole numbers, not {key.value!r}")
        return Parameter(key.path, "int", low, high)
    if key.operator == "LOG_BAYESIAN" and low <= 0:
        raise _error(key, f"needs bounds above 0, not {key.value!r}")
    return Parameter(key.path, "float", low, high, log=key.operator == "LOG_BAYESIAN")


def _bounds(key: Key) -> tuple[float, float]:
    value = key.value
    if not isinstance(value, list | tuple) or len(value) != 2 or not all(_is_finite_number(item) for item in value):
        raise _error(key, f"needs two numbers, written [low, high], not {value!r}")
    low, high = float(value[0]), float(value[1])
    if low >= high:
        raise _error(key, f"needs a lower bound below the upper one, not {value!r}")
    return low, high


def _choices(key: Key) -> tuple[Any, ...]:
    if not isinstance(key.value, list | tuple) or not key.value:
        raise _error(key, f"needs a list of values, written [a, b, c], not {key.value!r}")
    if len({canonical(item) for item in key.value}) < len(key.value):
        raise _error(key, f"lists a value twice: {key.value!r}")
    return tuple(key.value)


def _error(key: Key, what: str) -> UserError:
    return UserError(f"{key.path}~{key.operator}~ {what}", where=key.where)


def _is_finite_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} cannot be searched over")
