"""Deletion of an experiment, in an order that a crash cannot leave half-seen.

First the folder is renamed to a trash name, then the rows go, then the trash. Whatever was interrupted, the same
command finishes it: a trash name cannot be that of an experiment.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from powerbench.driver.folder import ExperimentFolder
from powerbench.errors import PowerbenchError, UserError, nearest
from powerbench.files import sync_folder
from powerbench.roots import Roots
from powerbench.store.folder_lock import folder_lock
from powerbench.store.lease import LeaseRefused, driver_lives

if TYPE_CHECKING:
    from powerbench.store.rows import ExperimentRow
    from powerbench.store.store import Store


@dataclass(frozen=True)
class Deletion:
    """What there is to delete: the row of the experiment, its folder, what an interrupted deletion left."""

    name: str
    row: ExperimentRow | None
    folder: Path | None
    trash: Path
    begun: bool


@dataclass(frozen=True)
class Deleted:
    """What is gone: rows by table, files, bytes."""

    rows: Mapping[str, int]
    files: int
    size: int


def plan_deletion(name: str, store: Store | None, roots: Roots) -> Deletion:
    """Look at what would be deleted; nothing is changed.

    Raises :class:`UserError` for an unknown name, a folder that lies under another root, and while a driver works
    on the experiment.
    """
    row = store.experiment(name) if store is not None else None
    folder, trash = ExperimentFolder.of(name, roots.experiments).path, roots.experiments / f".deleted_{name}"
    begun = trash.is_dir() or trash.is_symlink()
    if row is None and not begun:
        known = [other.name for other in store.experiments()] if store is not None else []
        raise UserError(f"there is no experiment {name} in {roots.store_url}.", near=nearest(name, known))
    if row is None:
        return Deletion(name, None, None, trash, begun)
    if not folder.is_dir() and not begun and Path(row.folder).is_dir():
        raise UserError(
            f"the files of {name} are in {row.folder}, not under {roots.experiments}; name their root with "
            f"--root_experiment_folder {Path(row.folder).parent}."
        )
    lease = store.driver(row.id) if store is not None else None
    if lease is not None and driver_lives(lease) is not False:
        raise LeaseRefused(
            f"process {lease.pid} on {lease.host} works on {name}; stop it first (`python run.py status {name}`)."
        )
    return Deletion(name, row, folder if folder.is_dir() else None, trash, begun)


def delete(deletion: Deletion, store: Store | None) -> Deleted:
    """Delete it. Raises :class:`LeaseRefused` if a driver began to work on it, PowerbenchError if files stay."""
    files = size = 0
    if deletion.begun:
        files, size = _remove(deletion.trash)
    rows: Mapping[str, int] = {}
    if deletion.row is not None and store is not None:
        with store.acquire_lease(deletion.row.id):
            if deletion.folder is not None:
                with folder_lock(deletion.folder):
                    deletion.folder.rename(deletion.trash)
                    sync_folder(deletion.trash.parent)
            rows = store.delete_experiment(deletion.name)
    if deletion.folder is not None:
        more, larger = _remove(deletion.trash)
        files, size = files + more, size + larger
    told = {table: count for table, count in rows.items() if count and table != "leases"}
    return Deleted(told, files, size)


def _remove(folder: Path) -> tuple[int, int]:
    """Remove a folder that nothing knows any more; how many files it held, and their bytes."""
    if folder.is_symlink():  # what it leads to is not ours
        folder.unlink()
        return 0, 0
    sizes = [path.lstat().st_size for path in folder.rglob("*") if not path.is_dir()]
    try:
        shutil.rmtree(folder)
    except OSError as error:
        raise PowerbenchError(
            f"the experiment is deleted, but some of its files are left in {folder} ({error.strerror}: "
            f"{error.filename}). Once the cause is removed, the same command deletes them."
        ) from error
    return len(sizes), sum(sizes)
