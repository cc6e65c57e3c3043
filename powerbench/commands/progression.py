"""Make train/test splits of growing distribution shift, or show those of a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from powerbench.commands.flags import ROOT_FLAGS, positionals
from powerbench.config.argv import CommandLine, parse
from powerbench.console import say
from powerbench.errors import UserError
from powerbench.files import write_atomic
from powerbench.roots import find_roots

if TYPE_CHECKING:
    from powerbench.config.argv import FlagType
    from split_managers.making_progressions import ProgressionRecipe
    from split_managers.progression import Progression

HELP = """\
usage: python run.py progression make FILE.json [flags] [config keys]
       python run.py progression show FILE [--figure FILE.png]

make: from the config's dataset, split and trunk to splits of growing distance (FID) between training and test classes,
as "Characterizing Generalization under Out-Of-Distribution Shifts in DML" (ooDML) makes them, with validation classes
and few-shot episodes. Writes FILE.json and the curve of the distances beside it. Train on split 3 of it with
  --split_manager~OVERRIDE~ {OutOfDistributionSplitManager: {file: FILE.json, data_hardness: 3}}

  --mode monotone|reference   keep an exchange only if it raises the distance, else delete (default); or as published
  --n_swaps N                 iterations (25); --swaps_iter N: pairs exchanged in each (2)
  --history N                 how many of the last used positions are blocked (5)
  --easier N                  iterations that make the initial split easier first (0)
  --super                     exchange whole super-classes (level 1 of the labels)
  --splits N                  splits to keep, evenly spaced by distance (8)
  --least_share F             none of them with less than this share of the initial classes (0.5)
  --shots [2, 5, 10]          few-shot episodes; --episodes N: how many of each (10)
  --pickle FILE               write the published layout, too
  --seed N                    of validation classes and episodes

show: the table of a progression, of ours or a published pickle (nothing in it is run), and its curve with --figure.
"""

MAKE_FLAGS: dict[str, FlagType] = {
    "mode": ("monotone", "reference"),
    "n_swaps": int,
    "swaps_iter": int,
    "history": int,
    "easier": int,
    "super": bool,
    "splits": int,
    "least_share": float,
    "shots": list,
    "episodes": int,
    "pickle": str,
    **ROOT_FLAGS,
}
SHOW_FLAGS: dict[str, FlagType] = {"figure": str, **ROOT_FLAGS}


def run(words: list[str]) -> int:
    """Make or show a progression."""
    names, rest = positionals(words)
    if len(names) != 2 or names[0] not in ("make", "show"):
        raise UserError("progression takes: make FILE.json, or: show FILE")
    path = Path(names[1]).expanduser()
    if names[0] == "make":
        _make(path, parse(rest, MAKE_FLAGS))
        return 0
    line = parse(rest, SHOW_FLAGS)
    if line.overrides or line.config_names:
        raise UserError("progression show takes no config keys.")
    progression = _read(path)
    _print(progression)
    if "figure" in line.flags:
        _draw(progression, Path(line.flags["figure"]).expanduser())
    return 0


def _make(path: Path, line: CommandLine) -> None:
    if path.suffix != ".json":
        raise UserError(f"a progression is written as FILE.json, not as {path.name}.")
    from powerbench.config.merged import load_config
    from powerbench.driver.preparing import at_present_places, prepare
    from powerbench.driver.progressions import progression_of
    from powerbench.plan import Budget
    from split_managers.progression import to_json, to_pickle

    roots = find_roots(line.flags)
    merged = load_config(line.config_names, line.overrides, folder=roots.config_folder)
    prepared = prepare(merged, Budget(), roots, with_data=False)
    config = at_present_places(prepared.config, None, prepared.user_files)
    progression = progression_of(config, roots.places, _recipe(line.flags, config.seed))
    text = to_json(progression)
    if path.exists() and path.read_text("utf-8", errors="replace") != text:
        raise UserError(f"{path} is there already and holds something else: take another name, or remove it.")
    write_atomic(path, text)
    if "pickle" in line.flags:
        write_atomic(Path(line.flags["pickle"]).expanduser(), to_pickle(progression))
    _print(progression)
    _draw(progression, path.with_suffix(".png"))
    say(f"written to {path}")


def _recipe(flags: Mapping[str, Any], seed: int) -> ProgressionRecipe:
    from split_managers.making_progressions import ProgressionRecipe

    names = ("mode", "n_swaps", "swaps_iter", "history", "easier", "splits", "least_share", "episodes")
    given = {name: flags[name] for name in names if name in flags}
    try:
        if "shots" in flags:
            given["shots"] = tuple(int(shots) for shots in flags["shots"])
        return ProgressionRecipe(**given, super_level=int(bool(flags.get("super"))), seed=seed)
    except ValueError as error:
        raise UserError(str(error), where="command line") from error


def _read(path: Path) -> Progression:
    from split_managers.progression import read_progression

    try:
        return read_progression(path)
    except ValueError as error:
        raise UserError(str(error)) from error


def _print(progression: Progression) -> None:
    from meta_logs.progression import splits_table

    say(splits_table(progression).text)
    if left_out := progression.made.get("shots_left_out"):
        say(f"no episodes of {', '.join(map(str, left_out))} shots: the smallest class would have no query left.")


def _draw(progression: Progression, path: Path) -> None:
    from meta_logs.progression import fid_curve

    write_atomic(path, fid_curve(progression))
    say(f"curve of the distances: {path}")
