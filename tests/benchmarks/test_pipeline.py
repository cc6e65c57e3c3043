import pandas as pd
import pytest

from benchmarks import pipeline


@pytest.mark.slow
def test_both_pipelines_are_measured_side_by_side(tmp_path, capsys):
    pipeline.main(["--images", "6", "--epochs", "2", "--workers", "0", "--output", str(tmp_path)])
    rows = pd.read_csv(tmp_path / "pipeline.csv")
    assert list(rows["engine"]) == ["ImageFolder", "powerbench"] * 2
    assert (rows[["samples_per_s", "cpu_ms"]] > 0).all(axis=None)
    assert "0 workers, later epochs: " in capsys.readouterr().out
    assert "times by CPU time" in (tmp_path / "pipeline.md").read_text()
