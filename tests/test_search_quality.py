"""The benchmark of the search: its surfaces, its judgement, and how it continues."""

import json

import numpy as np
import pytest

from benchmarks import _search_report, proposals, search_quality
from benchmarks._searches import read
from benchmarks._surfaces import FOLDS, Noisy, surfaces

PUBLISHED = [surface for surface in surfaces().values() if surface.published]


def test_a_surface_takes_the_published_values_at_its_grid_points_and_lies_between_them_elsewhere():
    for surface in PUBLISHED:
        first, *others = surface.space.parameters
        sizes = list(reversed(surface.mean.shape))
        place = [7, 31][: len(sizes)]
        point = surface.space.from_unit([i / (n - 1) for i, n in zip(place, sizes, strict=True)])
        assert surface.value(point) == pytest.approx(surface.mean[tuple(reversed(place))], abs=1e-9)
        assert surface.value({**point, first.path: first.high * 2}) == surface.value({**point, first.path: first.high})
        between = surface.space.from_unit([(i + 0.5) / (n - 1) for i, n in zip(place, sizes, strict=True)])
        corners = surface.mean[tuple(slice(i, i + 2) for i in reversed(place))]
        assert surface.value(between) == pytest.approx(corners.mean(), abs=1e-9)
        assert len(surface.published) == 50
        assert max(surface.value(point) for point in surface.published) > 0.97 * surface.best
        assert len(others) == surface.mean.ndim - 1


def test_derived_surfaces_have_the_published_ones_values_elsewhere():
    derived = {name: surface for name, surface in surfaces().items() if not surface.published}
    assert len(derived) == sum(1 + surface.mean.ndim for surface in PUBLISHED)
    for parent in PUBLISHED:
        for unit in (0, 0.3, 0.9, 1):
            there, here = np.full(parent.mean.ndim, unit**2), np.full(parent.mean.ndim, unit)
            assert derived[f"{parent.name}_bent"].value(at(parent, here)) == pytest.approx(
                parent.value(at(parent, there))
            )
        if parent.mean.ndim == 2:
            turned = derived[f"{parent.name}_turned"]
            assert turned.value(at(parent, (0.5, 0.5))) == parent.value(at(parent, (0.5, 0.5)))
            for corner, source in (((1, 0.5), (1, 1)), ((0.5, 1), (0, 1)), ((0, 0.5), (0, 0)), ((1, 1), (0.5, 1))):
                assert turned.value(at(parent, corner)) == pytest.approx(parent.value(at(parent, source)))
        fine = np.linspace(0, 1, 491)  # holds the grid
        edges = [
            (low, *rest) for low in (0, 1) for rest in ([(unit,) for unit in fine] if parent.mean.ndim == 2 else [()])
        ]
        if parent.name == "cub_contrastive":  # the best is on the first parameter's bound already
            edges = [edge[::-1] for edge in edges]
        cut = derived[f"{parent.name}_cut"]
        assert max(cut.value(at(parent, edge)) for edge in edges) == pytest.approx(parent.best)


def test_noise_is_a_function_of_seed_and_point_and_folds_differ_by_more():
    surface = surfaces()["cub_contrastive"]
    points = [surface.space.from_unit(unit) for unit in np.random.default_rng(0).random((400, 2)).tolist()]
    noisy = Noisy(surface, 0.02, "folds", seed=3)
    folds = np.array([noisy.folds(point) for point in points])
    errors = folds.mean(1) - [surface.value(point) for point in points]
    assert abs(errors.mean()) < 0.004
    assert errors.std() == pytest.approx(0.02, rel=0.15)
    difficulty = folds.mean(0) - folds.mean()
    assert difficulty.std() > 0.02
    outcome = noisy(points[0])
    assert outcome == noisy(dict(points[0]))
    assert outcome != Noisy(surface, 0.02, "folds", seed=4)(points[0])
    assert outcome.sem == pytest.approx(folds[0].std(ddof=1) / np.sqrt(FOLDS))
    assert [Noisy(surface, 0.02, told, 3)(points[0]).sem for told in ("nothing", "sd")] == [None, 0.02]
    assert Noisy(surface, 0.02, "sd", 3)(points[0]).mean == outcome.mean


def test_searches_are_judged_by_noise_free_values():
    row = {"best": 1.0, "values": [0.5, 0.98, 0.9, 0.992], "observed": [0.6, 0.9, 1.1, 1.0]}
    assert _search_report.first_reached(row) == 4
    assert _search_report.first_reached({**row, "values": row["values"][:3]}) == np.inf
    assert _search_report.regret(row, 3) == pytest.approx(0.02)
    assert _search_report.regret_of_choice(row, 4) == pytest.approx(0.1)


def at(surface, unit):
    return surface.space.from_unit(list(unit))


@pytest.mark.slow
def test_an_interrupted_benchmark_continues_and_reports_all(tmp_path, capsys):
    def run(*words):
        search_quality.main(["--output", str(tmp_path), *words])
        return capsys.readouterr().out

    part = ["--surfaces", "cub_triplet", "--noise", "0.02", "--optimisers", "sobol", "published", "random"]
    assert "5 searches to run" in run(*part, "--seeds", "2")
    file = tmp_path / "searches.jsonl"
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:3]) + '{"surface": "cub_tri')
    assert "2 searches to run" in run(*part, "--seeds", "2")
    assert "0 searches to run" in run(*part, "--seeds", "2")
    rows = read(file, _search_report.KEY)
    assert sorted((row["optimiser"], row["seed"]) for row in rows) == [
        ("published", 0),
        *(("random", seed) for seed in (0, 1)),
        *(("sobol", seed) for seed in (0, 1)),
    ]
    assert all(len(row["values"]) == len(row["observed"]) == 25 for row in rows)
    table = (tmp_path / "search_quality.md").read_text()
    assert "| 0.02 | nothing | 1 | sobol | all | 2 |" in table
    assert (tmp_path / "search_quality.png").stat().st_size > 10_000
    assert json.loads(file.read_text().splitlines()[0])["best"] == surfaces()["cub_triplet"].best


@pytest.mark.slow
def test_the_cost_of_proposals_is_measured_in_a_process_of_its_own(capsys):
    proposals.main(["--parameters", "6"])
    *_, row = capsys.readouterr().out.splitlines()
    count, first, later = [float(cell) for cell in row.strip("|").split("|")]
    assert count == 6
    assert 0 < later < first
