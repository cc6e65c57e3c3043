"""Classes by name: in our folders, then in the libraries, or in a user's own file. There is no registry.

A class of ours is found by reading the text of the files of its folder, and only its own file is imported.
``path/to/file.py:Name`` names a class in a user's file.
"""

from __future__ import annotations

import importlib.util
import inspect
import sys
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, Protocol

from powerbench.arguments import Signature, mistake, signature_of
from powerbench.class_folders import own_class, own_names
from powerbench.deferring import put_off
from powerbench.errors import PowerbenchError, SettingRefused, UserError, nearest
from powerbench.libraries import LIBRARIES

NESTED = {
    "distance": "distance",
    "reducer": "reducer",
    "default_reducer": "reducer",
    "weight_regularizer": "regularizer",
    "embedding_regularizer": "regularizer",
    "weight_init_func": "weight_init_func",
    "loss": "loss",
    "miner": "miner",
    "helper_split_manager": "split_manager",
    "train_dataset": "dataset",
    "test_dataset": "dataset",
}
"""Arguments that are themselves classes, written ``{Name: {argument: value}}``, and their kind."""

MAY_LACK_FILES = ("dataset", "trunk")
"""Kinds whose classes also raise UserError for missing data or weights, whatever their arguments."""

USER_MAY_GIVE = {"num_classes", "embedding_size"}
"""Injected arguments that a config may set itself (``num_classes: null`` shares what else is kept per class)."""

INSIDE_TOO = {*USER_MAY_GIVE, "dataset_root"}
"""Injected arguments that nested classes get as well."""

Where = Callable[[tuple[str, ...]], str | None]
"""Where a key stands (file and path), given the keys that lead to it from the class's arguments."""


class Spec(Protocol):
    """A class by name and its arguments, as the config holds it."""

    @property
    def name(self) -> str:
        """The name, or ``path/to/file.py:Name``."""

    @property
    def args(self) -> Mapping[str, Any]:
        """Keyword arguments; read-only mappings and tuples are allowed."""


def find_class(kind: str, name: str, *, where: str | None = None) -> Any:
    """The class, or the function that makes one, called ``name``.

    Raises UserError if there is none (with the nearest names), or if the user's file that holds it is
    missing or cannot be imported.
    """
    with put_off("scipy.stats"), put_off("scipy.special"):  # pytorch-metric-learning needs a function of each
        if (path := user_file(name)) is not None:
            return _user_class(path, name.rpartition(":")[2], where)
        found = own_class(kind, name)
        if found is None:
            found = next((hit for library in LIBRARIES.get(kind, ()) if (hit := library.find(name)) is not None), None)
    if found is None:
        words = kind.replace("_", " ")
        raise UserError(f"there is no {words} named {name!r}.", where=where, near=nearest(name, class_names(kind)))
    return found


def class_names(kind: str) -> list[str]:
    """The names that :func:`find_class` knows for ``kind``, ours first, each once."""
    names = own_names(kind) + [name for library in LIBRARIES.get(kind, ()) for name in library.names()]
    return list(dict.fromkeys(names))


def user_file(name: str) -> Path | None:
    """The file of ``path/to/file.py:Name``, or None if ``name`` is a plain class name."""
    path, colon, _ = name.rpartition(":")
    return Path(path).expanduser() if colon and path.endswith(".py") else None


def accepts(kind: str, name: str, argument: str) -> bool:
    """Whether the class takes ``argument`` by name."""
    return argument in signature_of(find_class(kind, name)).parameters


def check_arguments(
    kind: str,
    name: str,
    args: Mapping[str, Any],
    *,
    where: Where | str | None = None,
    injected: Collection[str] = (),
    also_valid: Collection[str] = (),
) -> None:
    """Raise UserError for an argument that the class does not take, lacks, or that has an impossible type.

    ``where`` says where the arguments stand, or is a function that says it for keys below them.
    ``injected`` names what we fill in (``num_classes``, ``labels``, ...); ``also_valid`` adds to the
    names suggested for a misspelt one. Nested classes (:data:`NESTED`) are checked too.
    """
    at = where if callable(where) else _places_below(where)
    signature = signature_of(find_class(kind, name, where=at(())))
    _check_names(name, signature, args, at, injected, also_valid)
    inside = _injected_inside(injected)
    for key, value in args.items():
        if key in NESTED and value is not None:
            nested_name, nested_args = parse_spec(value, where=at((key,)))
            below = _below(at, (key, nested_name))
            filled_in = ("tensor",) if NESTED[key] == "weight_init_func" else inside
            check_arguments(NESTED[key], nested_name, nested_args, where=below, injected=filled_in)
        elif key in signature.parameters and (expected := mistake(signature.parameters[key], value)):
            raise UserError(f"{name} takes {expected} as {key}, not {_plain(value)!r}.", where=at((key,)))


def _places_below(where: str | None) -> Where:
    return lambda keys: "/".join([*([where] if where else []), *keys]) or None


def _below(at: Where, keys: tuple[str, ...]) -> Where:
    return lambda further: at((*keys, *further))


def parse_spec(value: Any, *, where: str | None = None) -> tuple[str, Mapping[str, Any]]:
    """Name and arguments of a class written ``Name``, ``{Name: null}`` or ``{Name: {argument: value}}``."""
    if isinstance(value, str):
        return value, {}
    if isinstance(value, Mapping) and len(value) == 1:
        name, args = next(iter(value.items()))
        if args is None or isinstance(args, Mapping):
            return name, args or {}
    raise UserError(f"expected one class, written {{Name: {{argument: value}}}}, not {_plain(value)!r}.", where=where)


def build(kind: str, spec: Spec, **injected: Any) -> Any:
    """The object that ``spec`` describes, with its nested classes.

    Each keyword of ``injected`` is passed only where the initialiser takes it and the config does not give it.
    Raises SettingRefused if the class refuses its arguments, UserError if it lacks data or weights.
    """
    return _build(kind, spec.name, spec.args, injected)


def _build(kind: str, name: str, args: Mapping[str, Any], injected: Mapping[str, Any]) -> Any:
    target = find_class(kind, name)
    given = {key: _build_nested(key, value, injected) for key, value in args.items()}
    known = signature_of(target).parameters
    filled = {key: value for key, value in injected.items() if key in known and key not in given}
    if kind == "weight_init_func":
        return _torch_init(target, given)
    refusal = UserError if kind in MAY_LACK_FILES else SettingRefused
    try:
        return target(**given, **filled)
    except UserError as error:
        raise refusal(error.what, where=error.where, near=error.near) from error
    except (PowerbenchError, RuntimeError, MemoryError, OSError):
        raise
    except Exception as error:  # libraries refuse arguments with errors of any type
        raise refusal(f"{name} refuses its arguments {_plain(args)}: {error}") from error


def _build_nested(key: str, value: Any, injected: Mapping[str, Any]) -> Any:
    if key not in NESTED or value is None:
        return _plain(value)
    name, args = parse_spec(value, where=key)
    inside = {name: injected[name] for name in _injected_inside(injected)}
    return _build(NESTED[key], name, args, inside)


def _injected_inside(injected: Collection[str]) -> list[str]:
    return [name for name in injected if name in INSIDE_TOO]


def _torch_init(function: Callable[..., Any], args: Mapping[str, Any]) -> Any:
    from pytorch_metric_learning.utils.common_functions import TorchInitWrapper

    return TorchInitWrapper(function, **args)


def _check_names(
    name: str,
    signature: Signature,
    args: Mapping[str, Any],
    at: Where,
    injected: Collection[str],
    also_valid: Collection[str],
) -> None:
    ours = [key for key in injected if key not in USER_MAY_GIVE]
    valid = [key for key in signature.parameters if key not in ours]
    for key in args:
        if key in ours:
            raise UserError(f"{key} of {name} is filled in by powerbench; leave it out.", where=at((key,)))
        if key not in valid and not signature.open:
            listed = ", ".join([*valid, *also_valid]) or "none"
            near = nearest(key, [*valid, *also_valid])
            raise UserError(f"{name} takes no argument {key!r} (it takes: {listed}).", where=at((key,)), near=near)
    missing = [key for key in signature.required() if key not in args and key not in injected]
    if missing:
        raise UserError(f"{name} needs {', '.join(missing)}.", where=at(()))


def _user_class(path: Path, name: str, where: str | None) -> Any:
    if not path.is_file():
        raise UserError(f"there is no file {str(path)!r} to take {name} from (looked in {Path.cwd()}).", where=where)
    module = _user_module(path, where)
    found = getattr(module, name, None)
    if not callable(found):
        names = [key for key, value in vars(module).items() if inspect.isclass(value) or inspect.isfunction(value)]
        raise UserError(f"{path} has no class {name!r}.", where=where, near=nearest(name, names))
    return found


def _user_module(path: Path, where: str | None) -> Any:
    """Import a user's file once; a changed file is another module."""
    from powerbench.files import sha256_of

    module_name = f"powerbench_user_{sha256_of(path)[:16]}"
    if module_name in sys.modules:
        return sys.modules[module_name]
    spec = importlib.util.spec_from_file_location(module_name, path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[module_name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # a user's file may fail in any way: say how
        del sys.modules[module_name]
        raise UserError(f"{path} cannot be imported: {type(error).__name__}: {error}", where=where) from error
    return module


def _plain(value: Any) -> Any:
    """Read-only mappings and tuples as the dicts and lists that YAML wrote."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
