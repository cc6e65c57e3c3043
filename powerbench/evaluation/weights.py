"""Where a fold run keeps its best weights, and how others get them back."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import nn

from powerbench.errors import UserError
from powerbench.models.weights import read_state


def best_weights_file(folder: Path, module: str) -> Path:
    """The plain state dict of the best ``trunk`` or ``embedder``."""
    return folder / f"{module}_best.pth"


def load_best(modules: Mapping[str, nn.Module], folder: Path | str) -> None:
    """Load the weights that validation chose, kept in a fold run's folder, into modules by name.

    Raises UserError if a file is missing or damaged, or is that of another model.
    """
    for name, module in modules.items():
        path = best_weights_file(Path(folder), name)
        if not path.is_file():
            raise UserError(
                f"the trained weights of {path.parent.name} are not there: no file {path}. To train the same weights "
                f"again: powerbench --reproduce_results {path.absolute().parents[2]} --experiment_name <new name> "
                "--same_seed --keep_weights all"
            )
        state = read_state(path)
        try:
            module.load_state_dict(state)
        except RuntimeError as error:
            reason = str(error).partition("\n")[0]
            raise UserError(f"{path} holds the weights of another {name} than the config's: {reason}") from error
