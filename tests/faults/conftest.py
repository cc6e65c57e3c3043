import pytest

from tests.driver.world import World
from tests.faults.running import outcome

SIZE = {"trials": 2, "reproductions": 1}


@pytest.fixture(name="world")
def _world(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "no_user_file"))
    return World(tmp_path)


@pytest.fixture(name="expected", scope="session")
def _expected(tmp_path_factory):
    """What a small search leaves that nothing happened to."""
    world = World(tmp_path_factory.mktemp("undisturbed"))
    assert world.run("t", **SIZE) == 0
    return outcome(world)


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
