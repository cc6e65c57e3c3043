import pytest

from tests.driver.world import World


@pytest.fixture(name="world")
def _world(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "no_user_file"))
    return World(tmp_path)
