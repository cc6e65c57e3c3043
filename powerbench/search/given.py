"""First trials that the user gives, such as a method's published defaults: named values, checked against the space."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from powerbench.errors import UserError, nearest
from powerbench.search.space import Parameter, Space, canonical


def given_points(space: Space, given: Sequence[Mapping[str, Any]], *, where: str) -> tuple[dict[str, Any], ...]:
    """The points that ``given`` names, in the space's order and types.

    A parameter is named by its path or, as tables do, by as many of its last parts as tell it apart (``lr``,
    ``trunk_optimizer/RMSprop/lr``). Raises UserError for an unknown or ambiguous name, a value of another type or
    outside the bounds, a parameter without a value, and a point that is given twice.
    """
    points: list[dict[str, Any]] = []
    for number, values in enumerate(given):
        place = f"{where}, number {number + 1}"
        point = _point(space, values, place)
        if canonical(point) in map(canonical, points):
            raise UserError("this first trial is given twice.", where=place)
        points.append(point)
    return tuple(points)


def _point(space: Space, values: Mapping[str, Any], where: str) -> dict[str, Any]:
    point: dict[str, Any] = {}
    for name, value in values.items():
        parameter = _named(space, str(name), where)
        if parameter.path in point:
            raise UserError(f"{parameter.path} has two values.", where=where)
        point[parameter.path] = _value(parameter, value, where)
    missing = [parameter.path for parameter in space.parameters if parameter.path not in point]
    if missing:
        raise UserError(f"a first trial gives every searched parameter; missing: {', '.join(missing)}.", where=where)
    return {parameter.path: point[parameter.path] for parameter in space.parameters}


def _named(space: Space, name: str, where: str) -> Parameter:
    found = [parameter for parameter in space.parameters if f"/{parameter.path}".endswith(f"/{name}")]
    if len(found) == 1:
        return found[0]
    paths = [parameter.path for parameter in space.parameters]
    if found:
        both = ", ".join(parameter.path for parameter in found)
        raise UserError(f"{name} may mean {both}; give more of the path.", where=where)
    near = nearest(name, [*(path.rpartition("/")[2] for path in paths), *paths])
    raise UserError(f"{name} is not searched (searched are {', '.join(paths)}).", where=where, near=near)


def _value(parameter: Parameter, value: Any, where: str) -> Any:
    if parameter.values:
        position = parameter.position(value)
        if position is None:
            choices = ", ".join(map(str, parameter.values))
            raise UserError(f"{parameter.path} is one of {choices}, not {value!r}.", where=where)
        return parameter.at(position)
    if type(value) is not int and (parameter.kind == "int" or type(value) is not float or not math.isfinite(value)):
        what = "a whole number" if parameter.kind == "int" else "a number"
        raise UserError(f"{parameter.path} is {what}, not {value!r}.", where=where)
    if not parameter.low <= value <= parameter.high:
        bounds = f"[{parameter.low:g}, {parameter.high:g}]"
        raise UserError(f"{parameter.path} {value} lies outside what is searched, {bounds}.", where=where)
    return value if parameter.kind == "int" else float(value)
