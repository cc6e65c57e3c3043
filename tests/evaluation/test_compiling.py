"""Compiled code is kept from process to process, wherever a folder can be written to."""

import subprocess
import sys
from pathlib import Path

import pytest

KERNEL = """
from powerbench.evaluation.ranking.compiling import compiled

@compiled()
def twice(value):
    return 2 * value

if __name__ == "__main__":
    assert twice(4) == 8
    found = twice.stats
    print(sum(found.cache_hits.values()), sum(found.cache_misses.values()), found.cache_path)
"""
COMPILED, LOADED = ["0", "1"], ["1", "0"]


def run(file, monkeypatch, **variables):
    """Cache hits and misses, where the cache lies, and what is said, in a process of its own."""
    for name in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, str(value))
    done = subprocess.run([sys.executable, str(file)], capture_output=True, text=True, check=True)
    *counts, folder = done.stdout.split(maxsplit=2)
    return counts, folder.strip(), done.stderr


def kernel_in(folder):
    folder.mkdir()
    file = folder / "kernel.py"
    file.write_text(KERNEL)
    return file


@pytest.mark.slow
def test_code_is_kept_in_the_users_cache_where_its_source_cannot_be_written_beside(tmp_path, monkeypatch):
    file = kernel_in(tmp_path / "read_only")
    (file.parent / "__pycache__").write_text("")  # no folder can be made there, whoever tries
    file.parent.chmod(0o500)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    for expected in (COMPILED, LOADED):
        counts, folder, said = run(file, monkeypatch, XDG_CACHE_HOME=tmp_path / "cache")
        assert counts == expected
        assert Path(folder).is_relative_to(tmp_path / "cache")
        assert said == ""


@pytest.mark.slow
def test_code_that_can_be_kept_nowhere_is_compiled_with_a_warning(tmp_path, monkeypatch):
    file = kernel_in(tmp_path / "read_only")
    (file.parent / "__pycache__").write_text("")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    counts, folder, said = run(file, monkeypatch, XDG_CACHE_HOME=tmp_path / "file")
    assert (counts, folder) == (COMPILED, "None")
    assert "NUMBA_CACHE_DIR may name a folder" in said
    counts, folder, said = run(file, monkeypatch, XDG_CACHE_HOME=tmp_path / "file", NUMBA_CACHE_DIR=tmp_path / "own")
    assert counts == COMPILED
    assert Path(folder).is_relative_to(tmp_path / "own")
    assert said == ""
