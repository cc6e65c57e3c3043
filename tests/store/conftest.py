import shutil

import pytest
from store_results import make_experiment

from powerbench.store.store import Store


@pytest.fixture(scope="session")
def new_store(tmp_path_factory):
    """The file of a store without content, made by the migrations once."""
    path = tmp_path_factory.mktemp("store") / "results.sqlite"
    Store.open(path).close()
    return path


@pytest.fixture
def store(tmp_path, new_store):
    (tmp_path / "root").mkdir()
    shutil.copy(new_store, tmp_path / "root" / "results.sqlite")
    with Store.open(tmp_path / "root" / "results.sqlite") as opened:
        yield opened


@pytest.fixture
def experiment(store, tmp_path):
    return make_experiment(store, tmp_path)
