"""Whatever happens to the cache of decoded images costs time, never a result."""

import logging
import multiprocessing
import os
import resource
import time

import pytest

from powerbench.data import decoded_images as module
from powerbench.data.decoded_images import DecodedImages
from tests.data.filling import MANY, fill, store_in


def damage_pixels(folder, store):
    content = bytearray((folder / "a.pixels").read_bytes())
    content[3 * 105 + 50] ^= 1
    (folder / "a.pixels").write_bytes(content)


def damage_zeros(folder, store):
    """What a power cut leaves of pages that had not reached the disk."""
    content = (folder / "a.pixels").read_bytes()
    (folder / "a.pixels").write_bytes(content[:315] + bytes(105) + content[420:])


def cut_pixels(folder, store):
    os.truncate(folder / "a.pixels", 315 + 20)


def cut_index(folder, store):
    os.truncate(folder / "a.index", 3 * 24 + 7)


def damage_index(folder, store):
    content = bytearray((folder / "a.index").read_bytes())
    content[3 * 24 + 1] ^= 1
    (folder / "a.index").write_bytes(content)


def move_entry(folder, store):
    content = bytearray((folder / "a.index").read_bytes())
    content[3 * 24 : 4 * 24] = content[2 * 24 : 3 * 24]
    (folder / "a.index").write_bytes(content)


def lose_index(folder, store):
    (folder / "a.index").unlink()


def lose_pixels(folder, store):
    (folder / "a.pixels").unlink()


@pytest.mark.parametrize(
    "damage",
    [damage_pixels, damage_zeros, cut_pixels, cut_index, damage_index, move_entry, lose_index, lose_pixels],
)
def test_what_is_torn_or_damaged_is_made_anew(tmp_path, damage):
    assert fill(store_in(tmp_path), range(5)) == [0, 1, 2, 3, 4]
    damage(tmp_path, store_in(tmp_path))
    again = store_in(tmp_path)
    assert 3 in fill(again, range(5))
    assert fill(again, range(5)) == []
    assert fill(store_in(tmp_path), range(5)) == []


def test_damage_is_told(tmp_path, caplog):
    fill(store_in(tmp_path), range(5))
    damage_pixels(tmp_path, None)
    assert fill(store_in(tmp_path), range(5)) == [3]
    (record,) = caplog.records
    assert "image 3 in" in record.getMessage()
    assert "damaged" in record.getMessage()


def test_all_files_together_stay_within_the_budget(tmp_path, caplog):
    fill(DecodedImages(tmp_path / "other", {}, 20, MANY), [0])
    store = store_in(tmp_path, capacity=4 * 105 + 50)
    assert fill(store, range(6)) == [0, 1, 2, 3, 4, 5]
    assert fill(store, range(6)) == [3, 4, 5]
    assert sum(path.stat().st_size for path in tmp_path.glob("*.pixels")) == 4 * 105
    (record,) = caplog.records
    assert "is full (cache_gigabytes: 4.7e-07)" in record.getMessage()
    assert fill(store_in(tmp_path, capacity=10 * 105), range(6)) == [3, 4, 5]


def test_the_disk_is_not_filled_to_its_end(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(module, "RESERVED", 10**18)
    assert fill(store_in(tmp_path), [1, 1, 2]) == [1, 1, 2]
    (record,) = caplog.records
    assert "GB left: images that are not there yet are decoded each time" in record.getMessage()


def test_a_folder_that_cannot_be_written_costs_time_only(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    store = DecodedImages(tmp_path / "file" / "a", {}, 20, MANY)
    assert fill(store, [1, 1]) == [1, 1]
    (record,) = caplog.records
    assert "made each time" in record.getMessage()


COUNT = 300
FORK = multiprocessing.get_context("fork")


def fill_whole(folder, results=None, together=None, largest_file=None):
    """What a process does that asks for all images; it sends how many it had to make, and its warnings."""
    if largest_file is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
    said = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())
    logging.getLogger(module.__name__).addHandler(handler)
    if together is not None:
        together.wait()
    made = fill(store_in(folder, COUNT), range(COUNT), (20, 30))
    if results is not None:
        results.put((len(made), said))


def started(*args):
    process = FORK.Process(target=fill_whole, args=args)
    process.start()
    return process


@pytest.mark.slow
def test_processes_that_fill_it_together_keep_each_image_once(tmp_path):
    results, together = FORK.Queue(), FORK.Barrier(3)
    processes = [started(tmp_path, results, together) for _ in range(3)]
    made = [results.get(timeout=300)[0] for _ in processes]
    for process in processes:
        process.join()
    assert COUNT <= sum(made) <= 3 * COUNT
    assert size_of(tmp_path) == COUNT * 1800
    assert fill(store_in(tmp_path, COUNT), range(COUNT), (20, 30)) == []


@pytest.mark.slow
def test_killed_at_any_moment_it_loses_an_image_at_most(tmp_path):
    kills = 8
    for kill in range(1, kills + 1):
        process, before = started(tmp_path), size_of(tmp_path)
        while size_of(tmp_path) < before + 20 * 1800 and process.is_alive():
            time.sleep(0.0003)
        process.kill()
        process.join()
        store = store_in(tmp_path, COUNT)
        store._open()
        kept = sum(store._kept(item) is not None for item in range(COUNT))
        assert size_of(tmp_path) - kept * 1800 <= kill * 1800  # at most one image a kill that nobody will find
        assert kept > 0
    assert len(fill(store_in(tmp_path, COUNT), range(COUNT), (20, 30))) == COUNT - kept
    assert fill(store_in(tmp_path, COUNT), range(COUNT), (20, 30)) == []


def size_of(folder):
    path = folder / "a.pixels"
    return path.stat().st_size if path.exists() else 0


@pytest.mark.slow
def test_a_full_disk_is_told_once_and_costs_time_only(tmp_path):
    results = FORK.Queue()
    process = started(tmp_path, results, None, 10_000)
    made, said = results.get(timeout=300)
    process.join()
    assert made == COUNT
    (warning,) = said
    assert "takes no more images (File too large): images that are not there yet are decoded each time" in warning
    assert size_of(tmp_path) == 10_000 // 1800 * 1800
    assert len(fill(store_in(tmp_path, COUNT), range(COUNT), (20, 30))) == COUNT - 10_000 // 1800
