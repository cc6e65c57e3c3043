"""Whether a reproduction agrees with what it reproduces, said only where the two can be compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from meta_logs.environments import environments_differ
from meta_logs.formatting import Estimate, Value, is_fraction, metric_label
from meta_logs.logged import Logged, logged_in
from meta_logs.reproduced import RECORD_NAME, Reproduced, earlier_results, reproduced_by
from meta_logs.results import ExperimentResults, results_of
from meta_logs.sameness import sameness
from meta_logs.statistics.welch import Difference, welch
from meta_logs.table import Table
from powerbench.jobs import MODES, TRAINED
from powerbench.protocol import SEARCH_KEYS, differences
from powerbench.store.intervals import Interval, mean_interval
from powerbench.store.store import Store

CONFIDENCE = 0.95
METRICS = ("precision_at_1", "r_precision")
"""What is compared beside the primary metric."""


@dataclass(frozen=True)
class Line:
    """One metric on test, then and now. ``difference`` is now minus then, ``None`` with too few trainings."""

    metric: str
    mode: str
    earlier: Interval
    now: Interval
    difference: Difference | None

    @property
    def says(self) -> str:
        """Agreement means that Welch's interval of the difference contains 0."""
        if self.difference is None:
            return "too few runs to tell"
        return "agrees" if self.difference.contains_zero else "differs"

    @property
    def name(self) -> str:
        """The metric as papers write it, and how the folds were measured."""
        return f"{metric_label(self.metric)} {self.mode}"


@dataclass(frozen=True)
class Verdict:
    """Sentences for people, and the table they stand on where the two experiments can be compared."""

    sentences: tuple[str, ...]
    lines: tuple[Line, ...] = ()

    def table(self, title: str) -> Table:
        """Then and now, metric by metric."""
        columns = ("Metric", "Mode", "Earlier", "Now", "Difference", "Verdict")
        note = (
            f"Test split, trained weights; mean ± half width of the {CONFIDENCE:.0%} interval over n trainings (n), "
            "fractions in percent. Difference: now minus earlier with Welch's interval; agreement means that it "
            "contains 0. Each line stands for itself: of twenty true reproductions about one differs in a given line."
        )
        return Table(title, columns, tuple(_row(line) for line in self.lines), (note,))


def verdict_of(earlier: ExperimentResults | None, now: ExperimentResults, reproduced: Reproduced) -> Verdict:
    """Compare a reproduction with what it reproduces."""
    if earlier is None:
        return Verdict((f"no earlier results were found in {reproduced.folder}, so there is nothing to compare with.",))
    name = earlier.experiment.name
    keys = _differing_protocol(earlier, now)
    if keys:
        return Verdict(
            (
                f"not comparable: {', '.join(keys)}. The protocols of {name} and {now.experiment.name} differ there, "
                "so their numbers do not say whether the one reproduces the other.",
                *_environment(earlier, now),
            )
        )
    if reproduced.changed:
        return Verdict(
            (
                f"no reproduction: the method of {name} was changed ({', '.join(reproduced.changed)}), so equal "
                "numbers are not to be expected.",
                *_environment(earlier, now),
            )
        )
    lines = _lines(lambda mode, metric: earlier.values_that_count("test", mode, TRAINED, metric), now)
    same_seed = [sameness(earlier, now)] if earlier.experiment.seed == now.experiment.seed else []
    return Verdict((*same_seed, _agreement(lines, name), *_environment(earlier, now)), lines)


def report_verdict(store: Store, name: str, folder: Path, say: Callable[[str], object]) -> None:
    """Print the verdict on the experiment in ``folder`` and write it to ``meta_logs``, if it is a reproduction."""
    reproduced = reproduced_by(folder)
    if reproduced is None:
        return
    now, logged = results_of(store, name), logged_in(folder)
    if logged is not None and logged.values:
        verdict = logged_verdict(logged, now, reproduced)
    else:
        verdict = verdict_of(earlier_results(folder / RECORD_NAME), now, reproduced)
    if verdict.lines:
        table = verdict.table(f"{name}: does it reproduce {Path(reproduced.folder).name}?")
        table.write(folder / "meta_logs", "verdict")
        say(table.text)
    for sentence in verdict.sentences:
        say(f"verdict: {sentence}")


def logged_verdict(logged: Logged, now: ExperimentResults, reproduced: Reproduced) -> Verdict:
    """Compare a reproduction with what an earlier program logged of the trainings that it reproduces."""
    name = Path(reproduced.folder).name
    if reproduced.changed:
        return Verdict(
            (
                f"not comparable: {', '.join(reproduced.changed)} of {name} was changed, so equal numbers are not to "
                "be expected.",
            )
        )
    values = logged.by_key()
    lines = _lines(lambda mode, metric: values.get(("test", mode, TRAINED, metric), []), now)
    if not lines:
        return Verdict((f"nothing was logged on test in {name}: the table compares what validation gave.",))
    return Verdict((_agreement(lines, name),))


def _lines(earlier: Callable[[str, str], list[float]], now: ExperimentResults) -> tuple[Line, ...]:
    lines = []
    for metric in dict.fromkeys((now.primary_metric, *METRICS)):
        for mode in MODES:
            then_values = earlier(mode, metric)
            now_values = now.values_that_count("test", mode, TRAINED, metric)
            if then_values and now_values:
                difference = welch(now_values, then_values, CONFIDENCE)
                intervals = mean_interval(then_values, CONFIDENCE), mean_interval(now_values, CONFIDENCE)
                lines.append(Line(metric, mode, *intervals, difference))
    return tuple(lines)


def _agreement(lines: tuple[Line, ...], name: str) -> str:
    if not lines:
        return f"{name} has no results on test, so there is nothing to compare with."
    differing = [line.name for line in lines if line.says == "differs"]
    if differing:
        return f"does not agree with {name}: {', '.join(differing)} differ (of {len(lines)} compared)."
    if any(line.difference is None for line in lines):
        return f"too few runs to tell whether it agrees with {name}: that takes two reproductions or more on each side."
    return f"agrees with {name} in all {len(lines)} numbers compared."


def _differing_protocol(earlier: ExperimentResults, now: ExperimentResults) -> list[str]:
    """The protocol keys that differ, whatever the search budgets were."""
    chosen = earlier.best.parameters if earlier.best else {}
    return differences(_chosen(earlier.protocol, chosen), now.protocol, ignoring=SEARCH_KEYS)


def _chosen(protocol: Any, parameters: Mapping[str, Any]) -> Any:
    """A protocol with the chosen values in place of the ranges that were searched."""
    if not isinstance(protocol, Mapping):
        return protocol
    searched = protocol.get("searched")
    if len(protocol) == 1 and isinstance(searched, Mapping):
        return parameters.get(str(searched.get("path")), protocol)
    return {key: _chosen(value, parameters) for key, value in protocol.items()}


def _environment(earlier: ExperimentResults, now: ExperimentResults) -> list[str]:
    changed = environments_differ(earlier, now)
    return [f"environment: {'; '.join(changed)}."] if changed else ["environment: the same."]


def _row(line: Line) -> tuple[Value, ...]:
    percent = is_fraction(line.metric)
    earlier, now = (Estimate(i.mean, i.half_width, i.n, percent) for i in (line.earlier, line.now))
    total, d = line.earlier.n + line.now.n, line.difference
    difference = Estimate(d.mean, d.half_width, total, percent) if d else None
    return (metric_label(line.metric), line.mode, earlier, now, difference, line.says)
