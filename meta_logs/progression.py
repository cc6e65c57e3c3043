"""Progressions of distribution shift: their table, and the curve of their distances."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meta_logs.drawing import BLUE, GREY, ORANGE, new_figure, png
from meta_logs.table import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from split_managers.progression import Progression


def splits_table(progression: Progression) -> Table:
    """One row a split: its id, how it came about, its distance, and how many classes its parts have."""
    rows = tuple(
        (
            number,
            split.raw_id or "-",
            round(split.fid, 4),
            len(split.train),
            len(split.test),
            len(split.split_train),
            len(split.split_val),
            ", ".join(f"{len(supports)} of {shots}" for shots, supports in split.episodes.items()) or "none",
        )
        for number, split in progression.splits.items()
    )
    columns = ("id", "raw id", "FID", "train classes", "test classes", "of them train", "val", "episodes of shots")
    return Table("splits", columns, rows)


def fid_curve(progression: Progression) -> bytes:
    """As PNG: the distance of every split with its number of classes, and, if it is known, the walk they come from."""
    walked = [(str(raw_id), float(fid), int(classes)) for raw_id, fid, classes in progression.made.get("walk", ())]
    figure, panels = new_figure(1, 2 if walked else 1, 9.6 if walked else 5.4, 3.6)
    _splits(panels[0], progression)
    if walked:
        _walk(panels[1], progression, walked)
    return png(figure)


def _splits(axes: Axes, progression: Progression) -> None:
    ids = list(progression.splits)
    distances = [split.fid for split in progression.splits.values()]
    axes.plot(ids, distances, "o-", color=BLUE, lw=1.6, ms=6)
    for number, split in progression.splits.items():
        sizes = dict.fromkeys((len(split.train), len(split.test)))
        label = " | ".join(map(str, sizes))
        axes.annotate(label, (number, split.fid), (-6, 5), textcoords="offset points", ha="right", fontsize=8)
    axes.set(xlabel="split (beside: classes on each side)", ylabel="FID between training and test", xticks=ids)
    axes.margins(0.08, 0.14)


def _walk(axes: Axes, progression: Progression, walked: list[tuple[str, float, int]]) -> None:
    steps = range(len(walked))
    axes.plot(steps, [fid for _, fid, _ in walked], ".-", color=GREY, lw=1, ms=4, label="state")
    kept = {split.raw_id: number for number, split in progression.splits.items()}
    places = [step for step in steps if walked[step][0] in kept]
    axes.plot(places, [walked[step][1] for step in places], "o", color=ORANGE, ms=6, label="kept as split")
    classes = axes.twinx()
    classes.plot(steps, [count for _, _, count in walked], ":", color=BLUE, lw=1.2)
    classes.set_ylabel("classes on each side (dotted)", color=BLUE)
    classes.set_ylim(0, 1.1 * max(count for _, _, count in walked))
    classes.spines["top"].set_visible(False)
    axes.set(xlabel="iteration", ylabel="FID")
    axes.legend(fontsize=8, loc="lower right", frameon=False)
