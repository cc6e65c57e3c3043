"""Where a fold run keeps its best weights, and how an evaluation gets them back."""

from __future__ import annotations

from pathlib import Path

from powerbench.errors import UserError
from powerbench.evaluation.opening import FoldRun
from powerbench.models.weights import read_state


def best_weights_file(folder: Path, module: str) -> Path:
    """The plain state dict of the best ``trunk`` or ``embedder``."""
    return folder / f"{module}_best.pth"


def load_best(run: FoldRun, folder: Path) -> None:
    """Load the weights that validation chose into a fold run's model.

    Raises UserError if a file is missing or damaged, or is that of another model.
    """
    for name in run.trained_modules:
        path = best_weights_file(folder, name)
        if not path.is_file():
            raise UserError(
                f"the trained weights of {run.fold.name} are not there: no file {path}. To train the same weights "
                f"again: powerbench --reproduce_results {folder.absolute().parent.parent} --experiment_name <new name> "
                "--same_seed --keep_weights all"
            )
        state = read_state(path)
        try:
            run.module(name).load_state_dict(state)
        except RuntimeError as error:
            reason = str(error).partition("\n")[0]
            raise UserError(f"{path} holds the weights of another {name} than the config's: {reason}") from error
