"""How values look, in one place: for the terminal and Markdown, for LaTeX, and in full precision for CSV."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_FRACTIONS = re.compile(
    r"(c_)?(map(_at_(r|\d+)|_c|_lim|_1000)?|r_precision|marp|mrr|(nmi|ami|f1)(_sd)?|(precision|(class_)?recall)_at_\d+)"
)
_LABELS = {"map_at_r": "MAP@R", "precision_at_1": "R@1", "r_precision": "R-precision", "marp": "mARP"}
_LABELS |= {"map_c": "mAP_c", "map_lim": "mAP_lim", "map_1000": "mAP_1000"}
_LABELS |= {name: name.upper() for name in ("map", "mrr", "nmi", "ami", "f1")}
_AT = {"recall_at_": "R@", "class_recall_at_": "class R@", "map_at_": "MAP@", "rho_spectrum_at_": "rho_spectrum@"}
_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "_": r"\_",
    "%": r"\%",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "±": r"$\pm$",
    "–": "--",
}


@dataclass(frozen=True)
class Estimate:
    """A mean, half the width of its interval (``None`` where there is none), and over how many trainings."""

    mean: float
    half_width: float | None
    n: int
    percent: bool = False


@dataclass(frozen=True)
class Fraction:
    """A number in [0, 1] that is shown in percent."""

    value: float


Value = str | int | float | Estimate | Fraction | None


def plain(value: Value) -> str:
    """For people: four significant digits; estimates as ``43.21 ± 0.52 (10)``, fractions in percent."""
    if value is None:
        return ""
    if isinstance(value, Estimate):
        return _estimate(value, " ± ")
    if isinstance(value, Fraction):
        return f"{value.value * 100:.2f}"
    return f"{value:.4g}" if isinstance(value, float) else " ".join(str(value).split())


def markdown(value: Value) -> str:
    """For a Markdown table: nothing in a name can end a cell or start markup."""
    return re.sub(r"([\\`*_{}\[\]<>#|~!&$])", r"\\\1", plain(value)) if isinstance(value, str) else plain(value)


def latex(value: Value) -> str:
    """For a LaTeX table, escaped."""
    if isinstance(value, Estimate):
        return _estimate(value, r" $\pm$ ")
    return "".join(_LATEX.get(character, character) for character in plain(value))


def full(value: Value) -> str:
    """For CSV: every bit of a number, text as it is."""
    number = value.value if isinstance(value, Fraction) else value
    return "" if number is None else repr(number) if isinstance(number, float) else str(number)


def _estimate(value: Estimate, between: str) -> str:
    scale = 100 if value.percent else 1
    shown = f"{value.mean * scale:.2f}" if value.percent else f"{value.mean:.4g}"
    if value.half_width is None:
        return f"{shown} ({value.n})"
    half = f"{value.half_width * scale:.2f}" if value.percent else f"{value.half_width:.2g}"
    return f"{shown}{between}{half} ({value.n})"


def is_fraction(metric: str) -> bool:
    """Whether a metric lies in [0, 1] and is shown in percent."""
    return _FRACTIONS.fullmatch(metric) is not None


def measured(value: float | None, metric: str) -> Value:
    """A value of a metric: in percent where the metric is a fraction."""
    return Fraction(value) if value is not None and is_fraction(metric) else value


def metric_label(metric: str) -> str:
    """A metric as papers write it; ``c_`` before it: with cosine distance."""
    plain = metric.removeprefix("c_")
    cosine, label = metric.removesuffix(plain), plain.removesuffix("_sd")
    sd = " sd" if label != plain else ""
    start = next((start for start in _AT if label.startswith(start) and label not in _LABELS), None)
    shown = _LABELS.get(label, label) if start is None else _AT[start] + label.removeprefix(start)
    return f"{cosine}{shown}{sd}"


def words(name: str) -> str:
    """A name of the store as words: ``untrained_trunk`` is ``untrained trunk``."""
    return name.replace("_", " ")


def short_names(paths: Iterable[str]) -> dict[str, str]:
    """Slash paths by their last words, as many as it takes to tell them apart."""
    paths = list(paths)
    short = {}
    for path in paths:
        parts = path.split("/")
        for count in range(1, len(parts) + 1):
            name = "/".join(parts[-count:])
            if sum(other == name or other.endswith(f"/{name}") for other in paths) == 1:
                break
        short[path] = name
    return short


def parameters_text(parameters: Mapping[str, Value]) -> str:
    """Parameters in one line: ``pos_margin 0.2652, neg_margin 0.5409``."""
    names = short_names(parameters)
    return ", ".join(f"{names[path]} {plain(value)}" for path, value in parameters.items())
