"""The results store of a root folder: opened to be written, or only if there is one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from powerbench.roots import Roots

if TYPE_CHECKING:
    from powerbench.store.store import Store


@contextmanager
def open_store(roots: Roots) -> Iterator[Store]:
    """The store, created if there is none."""
    from powerbench.store.store import Store

    with Store.open(roots.store_url) as store:
        yield store


@contextmanager
def existing_store(roots: Roots) -> Iterator[Store | None]:
    """The store if there is one already; nothing is created."""
    if "://" not in roots.store_url and not Path(roots.store_url).exists():
        yield None
        return
    with open_store(roots) as store:
        yield store
