"""What the libraries offer by name: losses, miners, optimisers, transforms, trunks. Each is imported when asked for."""

from __future__ import annotations

import importlib.util
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any


@dataclass(frozen=True)
class Library:
    """Names one at a time (``find``, None if unknown) and all of them (``names``)."""

    find: Callable[[str], Any | None]
    names: Callable[[], list[str]]


def _module(module: str, wanted: Callable[[str, Any], bool]) -> Library:
    """The members of a module that ``wanted`` keeps."""

    def find(name: str) -> Any | None:
        member = getattr(importlib.import_module(module), name, None)
        return member if member is not None and wanted(name, member) else None

    def names() -> list[str]:
        return [name for name, member in vars(importlib.import_module(module)).items() if wanted(name, member)]

    return Library(find, names)


def _class(name: str, member: Any) -> bool:
    """A public class that is not meant to be derived from only."""
    return inspect.isclass(member) and not name.startswith(("_", "Base")) and not name.endswith("Mixin")


def _derived(base: str) -> Callable[[str, Any], bool]:
    """Classes below a class called ``base``."""
    return lambda name, member: _class(name, member) and base in [c.__name__ for c in member.__mro__[1:]]


def _of_class_scores(name: str, member: Any) -> bool:
    """The losses of torch that a classifier on embeddings is trained with."""
    return name in ("CrossEntropyLoss", "MultiMarginLoss")


def _initialiser(name: str, member: Any) -> bool:
    return inspect.isfunction(member) and name.endswith("_") and not name.startswith("_")


def _torchvision_trunk(name: str) -> Any | None:
    from torchvision import models

    return models.get_model_builder(name) if name in _torchvision_trunks() else None


def _torchvision_trunks() -> list[str]:
    from torchvision import models

    return list(models.list_models(module=models))


def _timm_trunk(name: str) -> Any | None:
    timm = _timm()
    return partial(timm.create_model, name) if timm and timm.is_model(name) else None


def _timm_trunks() -> list[str]:
    timm = _timm()
    return list(timm.list_models()) if timm else []


def _timm() -> Any | None:
    """The timm package, which is optional."""
    return importlib.import_module("timm") if importlib.util.find_spec("timm") else None


LIBRARIES: dict[str, tuple[Library, ...]] = {
    "loss": (_module("pytorch_metric_learning.losses", _class), _module("torch.nn", _of_class_scores)),
    "miner": (_module("pytorch_metric_learning.miners", _class),),
    "distance": (_module("pytorch_metric_learning.distances", _class),),
    "reducer": (_module("pytorch_metric_learning.reducers", _class),),
    "regularizer": (_module("pytorch_metric_learning.regularizers", _class),),
    "trunk": (Library(_torchvision_trunk, _torchvision_trunks), Library(_timm_trunk, _timm_trunks)),
    "transform": (_module("torchvision.transforms.v2", _derived("Transform")),),
    "optimizer": (_module("torch.optim", _derived("Optimizer")),),
    "scheduler": (_module("torch.optim.lr_scheduler", _derived("LRScheduler")),),
    "weight_init_func": (_module("torch.nn.init", _initialiser),),
}
"""Kind -> the libraries that are searched after our own folder, in this order."""
