"""The compact letter display: methods that share a letter cannot be told apart."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from string import ascii_lowercase


def groups(methods: Sequence[str], distinct: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The letters of each method; ``methods`` are given best first, ``distinct`` are the pairs that differ.

    Two methods share a letter if and only if their pair is not in ``distinct``. The insert-and-absorb algorithm of
    Piepho (2004), "An Algorithm for a Letter-Based Representation of All-Pairwise Comparisons".
    """
    columns = [frozenset(methods)]
    for first, second in distinct:
        split = []
        for column in columns:
            split += [column - {first}, column - {second}] if {first, second} <= column else [column]
        columns = _absorbed(split)
    place = {method: i for i, method in enumerate(methods)}
    ordered = sorted(columns, key=lambda column: sorted(place[method] for method in column))
    return {m: "".join(_letter(i) for i, column in enumerate(ordered) if m in column) for m in methods}


def _absorbed(columns: list[frozenset[str]]) -> list[frozenset[str]]:
    """Without columns that are part of another."""
    unique = list(dict.fromkeys(columns))
    return [column for column in unique if not any(column < other for other in unique)]


def _letter(index: int) -> str:
    """a .. z, then a1, b1, ..."""
    rounds, place = divmod(index, len(ascii_lowercase))
    return ascii_lowercase[place] + (str(rounds) if rounds else "")
