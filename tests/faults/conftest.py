import shutil

import pytest

from tests.driver.world import World
from tests.faults.running import outcome

SIZE = {"trials": 2, "reproductions": 1}


@pytest.fixture(name="world")
def _world(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "no_user_file"))
    return World(tmp_path)


@pytest.fixture(name="finished", scope="session")
def _finished(tmp_path_factory):
    """A world with a small search that nothing happened to."""
    world = World(tmp_path_factory.mktemp("undisturbed"))
    assert world.run("t", **SIZE) == 0
    return world


@pytest.fixture(name="expected", scope="session")
def _expected(finished):
    """What it left."""
    return outcome(finished)


@pytest.fixture(name="copied")
def _copied(finished, world):
    """A world in which that search is finished, to be spoilt."""
    shutil.copytree(finished.root, world.root)
    return world


@pytest.fixture(name="trained")
def _trained(monkeypatch):
    """The folders of the fold runs that this process trains to their end, in order."""
    from powerbench.training import checkpoints

    folders, finish = [], checkpoints.finish

    def noted(folder, *others):
        finish(folder, *others)
        folders.append(str(folder))

    monkeypatch.setattr(checkpoints, "finish", noted)
    return folders
