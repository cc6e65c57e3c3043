import gc

import pytest

from powerbench import starting


@pytest.fixture(autouse=True)
def _as_before(monkeypatch):
    monkeypatch.setattr(starting, "put_off_compiler", lambda: None)
    yield
    gc.unfreeze()
    gc.enable()


def test_garbage_is_looked_for_once_the_start_is_over_and_in_what_came_after():
    starting.start_lightly()
    assert not gc.isenabled()
    starting.end_of_start()
    assert gc.isenabled()
    frozen = gc.get_freeze_count()
    assert frozen > 1000
    starting.end_of_start()  # every job of a worker says so
    assert gc.get_freeze_count() == frozen


def test_a_process_that_did_not_start_so_is_left_alone():
    starting.end_of_start()
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0
