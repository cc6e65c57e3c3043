"""The benchmarks' command line, and the page that the retrieval benchmark writes."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import __main__ as program
from benchmarks import _retrieval_page, retrieval, retrieval_on_gpu
from benchmarks._class_structured import CLASSES, embeddings

NAMES = sorted(path.stem for path in Path(retrieval.__file__).parent.glob("[!_]*.py"))


def row(engine, items, cpu, name="SOP", threads=1, value=0.8):
    key = {"set": name, "separation": "easy", "items": items, "dimensions": 128, "threads": threads}
    costs = {"cpu_s": cpu, "wall_s": cpu, "added_mib": 10 * cpu, "floor_s": 1.0}
    return {**key, "engine": engine, **costs, "map_at_r": value, "r_precision": value, "precision_at_1": value}


@pytest.fixture
def received(monkeypatch):
    """What each benchmark is called with, instead of running."""
    calls = []

    def load(module):
        return SimpleNamespace(main=lambda words: calls.append((module.removeprefix("benchmarks."), list(words))))

    monkeypatch.setattr(program, "importlib", SimpleNamespace(import_module=load))
    return calls


def test_all_benchmarks_run_unless_some_are_named(received):
    program.main([])
    assert received == [(name, []) for name in NAMES]
    received.clear()
    program.main(["retrieval", "disk_use"])
    assert received == [("retrieval", []), ("disk_use", [])]


def test_what_follows_a_name_goes_to_that_benchmark(received):
    program.main(["retrieval", "--output", "there", "--sets", "CUB"])
    assert received == [("retrieval", ["--output", "there", "--sets", "CUB"])]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["A"], f"no benchmark named 'A' (there are: {', '.join(NAMES)})"),
        (["A", "retrieval"], "no benchmark named 'A'"),
        (["--output", "there"], "--output is for one benchmark: name it first"),
        (["retrieval", "disk_use", "--output", "there"], "--output is for one benchmark"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_runs(received, words, message):
    with pytest.raises(SystemExit) as stopped:
        program.main(words)
    assert message in str(stopped.value)
    assert not received


def test_engines_take_turns_and_the_slower_one_is_left_out_of_large_sets(monkeypatch, tmp_path, capsys):
    asked = []

    class Worker:
        def __init__(self, command, **_):
            self.job = retrieval.json.loads(command[-1])
            self.stdin = retrieval.sys.stdout
            self.stdout = self

        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

        def readline(self):
            asked.append((self.job["set"], self.job["items"], self.job["engine"]))  # "ready", then a measurement
            return retrieval.json.dumps({**row(self.job["engine"], self.job["items"], 2.0), **self.job})

    monkeypatch.setattr(retrieval.subprocess, "Popen", Worker)
    words = ["--sets", "CUB", "--threads", "1", "--repetitions", "2", "--growth", "1000", "100000"]
    retrieval.main([*words, "--output", str(tmp_path / "made")])
    cub = [("CUB", 5924, "powerbench"), ("CUB", 5924, "AccuracyCalculator")]
    small = [("SOP", 1000, "powerbench"), ("SOP", 1000, "AccuracyCalculator")]
    assert asked == [*cub * 3, *cub * 3, *small * 2, *[("SOP", 100000, "powerbench")] * 2]
    assert {path.name for path in (tmp_path / "made").iterdir()} == {"retrieval.md", "retrieval.png"}


def test_the_page_shows_medians_ranges_and_ratios(tmp_path):
    ours = [row("powerbench", 60502, cpu) for cpu in (6.0, 5.0, 9.0)]
    theirs = [row("AccuracyCalculator", 60502, 30.0, value=0.75)]
    _retrieval_page.write([*ours, *theirs], [*ours, *theirs, row("powerbench", 200_000, 60.0)], tmp_path)
    page = (tmp_path / "retrieval.md").read_text()
    assert (
        "| SOP easy | 60,502 x 128 | 0.800 | 1 | 6.00 (5.00–9.00) | 30.0 | 5.0 | 6.00 (5.00–9.00) | 30.0 "
        "| 1.00, 17% | 60.0 (50.0–90.0) | 300 |" in page
    )
    assert "| 200,000 | 0.800 | 60.0 | 1.00 | not run |  | 600 | not run |" in page
    assert "differ by 5e-02 at most" in page
    assert "would take 25 CPU minutes" in page  # 60 s times 5 squared


@pytest.mark.slow
def test_a_device_is_compared_with_the_cpu(capsys):
    retrieval_on_gpu.main(["--device", "cpu", "--items", "300", "--memory", "100000"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0].split(", ", 1)[1] for line in lines] == list(retrieval.SPREADS["SOP"])
    assert all(line.endswith("values equal") for line in lines)


def test_sets_have_the_sizes_of_the_published_ones():
    assert {name: int(counts().sum()) for name, counts in CLASSES.items()} == {"CUB": 5924, "Cars": 8131, "SOP": 60502}
    sizes = CLASSES["SOP"]()
    assert (len(sizes), sizes.min(), sizes.max()) == (11316, 2, 12)
    x, labels = embeddings(np.array([3, 5]), 4, 0.5)
    assert (x.shape, x.dtype, np.bincount(labels).tolist()) == ((8, 4), np.float32, [3, 5])
