import pytest

from powerbench.store.store import Store


@pytest.fixture
def store():
    with Store.in_memory() as opened:
        yield opened
