"""What the typed config is made of: read-only values, classes with their arguments, recipes of transforms."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    model_serializer,
    model_validator,
)


def freeze(value: Any) -> Any:
    """Mappings become read-only and lists become tuples, at any depth."""
    if isinstance(value, Mapping):
        return MappingProxyType({key: freeze(item) for key, item in value.items()})
    if isinstance(value, list | tuple):
        return tuple(freeze(item) for item in value)
    return value


def thaw(value: Any) -> Any:
    """The opposite of :func:`freeze`: plain dicts and lists, as YAML and JSON write them."""
    if isinstance(value, Mapping):
        return {key: thaw(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [thaw(item) for item in value]
    return value


def _mapping(value: Any) -> Any:
    if not isinstance(value, Mapping):
        raise ValueError(f"expected a mapping {{key: value}}, not {value!r}")
    return freeze(value)


def _weights(value: Any) -> Any:
    numbers = list(value.values()) if isinstance(value, Mapping) else []
    if value is not None and not (numbers and all(type(number) in (int, float) for number in numbers)):
        raise ValueError(f"expected null or a mapping {{loss: number}}, not {thaw(value)!r}")
    return freeze(value)


Frozen = Annotated[Mapping[str, Any], PlainValidator(_mapping), PlainSerializer(thaw)]
"""A mapping of anything, read-only at any depth."""

Weights = Annotated[Mapping[str, float] | None, PlainValidator(_weights), PlainSerializer(thaw)]
"""A number for each named loss, or null for 1 each."""

Frozens = Annotated[tuple[Frozen, ...], Field(strict=False)]
"""A YAML list of mappings."""

Names = Annotated[tuple[str, ...], Field(strict=False)]
"""A YAML list of names."""


class Settings(BaseModel):
    """A frozen part of the config that refuses unknown keys and does not coerce types silently."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, arbitrary_types_allowed=True)


class ClassSpec(Settings):
    """A class by name and the keyword arguments it is built with."""

    name: str
    args: Frozen = Field(default_factory=lambda: freeze({}))

    @model_validator(mode="before")
    @classmethod
    def _from_yaml(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"name": value}
        if isinstance(value, ClassSpec):
            return {"name": value.name, "args": value.args}
        if isinstance(value, Mapping) and len(value) == 1:
            name, args = next(iter(value.items()))
            if args is None or isinstance(args, Mapping):
                return {"name": name, "args": args or {}}
            raise ValueError(f"the arguments of {name} must be a mapping like {{argument: value}}, not {args!r}")
        if isinstance(value, Mapping) and value:
            names = ", ".join(map(str, value))
            raise ValueError(f"expected one class, but there are {len(value)} ({names}); replace one with ~OVERRIDE~")
        raise ValueError("expected one class, written {Name: {argument: value}}")

    @model_serializer
    def _to_yaml(self) -> dict[str, Any]:
        return {self.name: thaw(self.args)}


class Named(Settings):
    """Settings written under one fixed class name, as ``{Name: {key: value}}``."""

    @model_validator(mode="before")
    @classmethod
    def _from_yaml(cls, value: Any) -> Any:
        name = cls.__name__
        if value == name:
            return {}
        if isinstance(value, Mapping) and set(value) == {name}:
            return {} if value[name] is None else value[name]
        raise ValueError(f"expected {{{name}: {{key: value}}}}")

    @model_serializer(mode="wrap")
    def _to_yaml(self, handler: Any) -> dict[str, Any]:
        return {type(self).__name__: handler(self)}


Specs = Annotated[
    Mapping[str, ClassSpec],
    AfterValidator(lambda specs: MappingProxyType(dict(specs))),
    PlainSerializer(lambda specs: {name: {spec.name: thaw(spec.args)} for name, spec in specs.items()}),
]
"""Classes by name, read-only."""


def _recipe(value: Any) -> Any:
    if isinstance(value, Mapping):
        return tuple(ClassSpec.model_validate({name: _with_lists(args)}) for name, args in value.items())
    raise ValueError("expected transforms in order, written {Name: {argument: value}, ...}")


def _with_lists(args: Any) -> Any:
    """Texts of several numbers as lists (``"0.16 1"`` is [0.16, 1]), as powerful-benchmarker reads them."""
    if not isinstance(args, Mapping):
        return args
    return {key: _numbers(item) or item for key, item in args.items()}


def _numbers(value: Any) -> list[float] | None:
    words = value.split() if isinstance(value, str) else []
    if len(words) < 2:
        return None
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        return None
    return [int(n) if n.is_integer() and "." not in word else n for n, word in zip(numbers, words, strict=True)]


Recipe = Annotated[
    tuple[ClassSpec, ...],
    BeforeValidator(_recipe),
    PlainSerializer(lambda steps: {step.name: thaw(step.args) for step in steps}),
]


EpochsOfFolds = Annotated[
    Mapping[str, Annotated[int, Field(ge=1)]],
    AfterValidator(lambda epochs: MappingProxyType(dict(epochs))),
    PlainSerializer(dict),
]
