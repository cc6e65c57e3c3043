import pytest

from powerbench.data import decoded_images as module


@pytest.fixture(autouse=True)
def _nothing_was_told_and_the_disk_is_large(monkeypatch):
    module._TOLD[0] = 0
    monkeypatch.setattr(module, "RESERVED", 0)
