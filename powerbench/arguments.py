"""Which keyword arguments a class takes, and plain mistakes that its signature reveals.

``**kwargs`` are followed up the class hierarchy, because nearly every class of
pytorch-metric-learning hands them on to a base class.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_TAKES_NAMES = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_IN_WORDS = {"int": "a whole number", "float": "a number", "bool": "true or false", "str": "text", "None": "null"}


@dataclass(frozen=True)
class Signature:
    """The named parameters of a callable; ``open`` if it takes further names that nothing lists."""

    parameters: Mapping[str, inspect.Parameter]
    open: bool

    def required(self) -> list[str]:
        """The parameters without a default."""
        return [name for name, p in self.parameters.items() if p.default is inspect.Parameter.empty]


def signature_of(target: Callable[..., Any]) -> Signature:
    """The keyword arguments that ``target`` (a class or a function) accepts."""
    parameters: dict[str, inspect.Parameter] = {}
    bound: set[str] = set()
    positional = 0
    for function, is_method in _initialisers(target):
        own = list(inspect.signature(function).parameters.values())[is_method:]
        bound |= {p.name for p in own[:positional]} - set(parameters)
        for parameter in own:
            if parameter.kind in _TAKES_NAMES and parameter.name not in bound:
                parameters.setdefault(parameter.name, parameter)
        if not any(p.kind is inspect.Parameter.VAR_KEYWORD for p in own):
            return Signature(parameters, open=False)
        positional, names = _given_to_base(function)
        bound |= names - set(parameters)
    return Signature(parameters, open=not inspect.isclass(target))


def _given_to_base(function: Callable[..., Any]) -> tuple[int, set[str]]:
    """What an initialiser itself gives to its base's: how many positional arguments, and which names."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError):
        return 0, set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("super("):
            positional = [argument for argument in node.args if not isinstance(argument, ast.Starred)]
            names = {keyword.arg for keyword in node.keywords if keyword.arg is not None}
            return len(positional), names - _read_from_kwargs(tree)
    return 0, set()


def _read_from_kwargs(tree: ast.AST) -> set[str]:
    """Names taken out as ``kwargs["name"]``: still the caller's to give."""
    reads = (node for node in ast.walk(tree) if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "kwargs")
    return {str(read.slice.value) for read in reads if isinstance(read.slice, ast.Constant)}


def _initialisers(target: Callable[..., Any]) -> Iterator[tuple[Callable[..., Any], int]]:
    """Each function that may receive the arguments, and how many leading parameters are ``self``."""
    if not inspect.isclass(target):
        yield target, 0
        return
    for cls in target.__mro__:
        if cls is object or cls.__module__ == "torch.nn.modules.module":
            return
        if "__init__" in vars(cls):
            yield vars(cls)["__init__"], 1


def mistake(parameter: inspect.Parameter, value: Any) -> str | None:
    """What is expected instead of ``value``, if the parameter's annotation or default says so for certain."""
    annotated = _annotated_types(parameter.annotation)
    if annotated:
        given = _type_name(value)
        fits = given in annotated or (given == "int" and "float" in annotated)
        return None if fits else " or ".join(words for name, words in _IN_WORDS.items() if name in annotated)
    default = parameter.default
    is_number = isinstance(default, int | float) and parameter.annotation is inspect.Parameter.empty
    if is_number and isinstance(value, str | Mapping):
        return _IN_WORDS["bool" if isinstance(default, bool) else "float"]
    return None


def _annotated_types(annotation: Any) -> set[str]:
    """The simple types that an annotation allows; empty if it allows others (but tensors), or nothing is said."""
    if annotation is inspect.Parameter.empty:
        return set()
    text = annotation.__name__ if isinstance(annotation, type) else str(annotation)
    text = text.replace("typing.", "").replace("NoneType", "None").replace("torch.Tensor", "Tensor")
    if optional := re.fullmatch(r"Optional\[(.*)\]", text):
        text = f"{optional[1]} | None"
    if union := re.fullmatch(r"Union\[(.*)\]", text):
        text = union[1].replace(",", "|")
    names = {name.strip() for name in text.split("|")} - {"Tensor"}
    return names if names <= _IN_WORDS.keys() else set()


def _type_name(value: Any) -> str:
    return "None" if value is None else type(value).__name__
