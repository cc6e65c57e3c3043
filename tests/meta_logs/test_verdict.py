from dataclasses import replace

import pytest
import scipy.stats

from meta_logs.reproduced import Reproduced, remember, reproduced_by
from meta_logs.results import results_of
from meta_logs.verdict import report_verdict, verdict_of
from powerbench.errors import UserError
from powerbench.store.store import Store
from tests.meta_logs.synthetic_experiments import PATHS, PREFIX, PROTOCOL, make_experiment

FOLDER = Reproduced("/somewhere/old")


def pair(store, *, now=None, earlier=None):
    """A search with five reproductions, and the reproduction of its best setting."""
    make_experiment(store, "old", **(earlier or {}))
    with_defaults = {"trials": 0, "protocol": {**PROTOCOL, "trials": 0}, "seed": 1, **(now or {})}
    make_experiment(store, "new", **with_defaults)
    return results_of(store, "old"), with_seed(results_of(store, "new"), 99)


def with_seed(results, seed):
    return replace(results, experiment=replace(results.experiment, seed=seed))


def test_agreement_means_that_welchs_interval_contains_zero(store):
    old, new = pair(store)
    verdict = verdict_of(old, new, FOLDER)
    assert [line.name for line in verdict.lines][:2] == ["MAP@R separate", "MAP@R concatenated"]
    assert len(verdict.lines) == 6
    for line in verdict.lines:
        values = [list(r.values("test", line.mode, line.metric).values()) for r in (new, old)]
        expected = scipy.stats.ttest_ind(*values, equal_var=False).confidence_interval()
        assert (line.difference.low, line.difference.high) == pytest.approx((expected.low, expected.high))
        assert line.says == "agrees"
    assert verdict.sentences[0] == "agrees with old in all 6 numbers compared."


def test_a_difference_is_named(store):
    old, new = pair(store, now={"level": 0.1})
    verdict = verdict_of(old, new, FOLDER)
    assert {line.says for line in verdict.lines} == {"differs"}
    assert verdict.sentences[0].startswith("does not agree with old: MAP@R separate, MAP@R concatenated, R@1")


@pytest.mark.parametrize(
    ("earlier", "now"), [({"reproductions": 1}, {}), ({}, {"reproductions": 1}), ({"reproductions": 0}, {})]
)
def test_from_too_few_runs_nothing_is_concluded(store, earlier, now):
    old, new = pair(store, earlier=earlier, now=now)
    verdict = verdict_of(old, new, FOLDER)
    assert {line.says for line in verdict.lines} == {"too few runs to tell"}
    assert verdict.sentences[0].startswith("too few runs to tell")


def test_without_results_on_test_there_is_nothing_to_compare(store):
    old, new = pair(store, earlier={"reproductions": 0, "evaluate_best": False})
    verdict = verdict_of(old, new, FOLDER)
    assert not verdict.lines
    assert "no results on test" in verdict.sentences[0]


def test_other_protocols_are_not_comparable_whatever_the_numbers(store):
    old, new = pair(store, now={"protocol": {**PROTOCOL, "trials": 0, "dataset_checksum": "other", "ties": "expected"}})
    verdict = verdict_of(old, new, FOLDER)
    assert verdict.sentences[0].startswith("not comparable: dataset_checksum, ties.")
    assert not verdict.lines
    assert not any("agree" in sentence for sentence in verdict.sentences)


def test_the_search_budget_is_no_obstacle_and_a_searched_protocol_key_has_its_chosen_value(store):
    path = PREFIX + PATHS[0]
    searched = {**PROTOCOL, "embedder_optimizer": {"Adam": {"lr": {"searched": {"path": path, "low": 0.01}}}}}
    old, _ = pair(store, earlier={"protocol": searched})
    chosen = old.best.parameters[path]
    for value, comparable in ((chosen, True), (chosen * 2, False)):
        protocol = {**PROTOCOL, "trials": 0, "embedder_optimizer": {"Adam": {"lr": value}}}
        new = results_of(store, "new")
        new = with_seed(replace(new, experiment=replace(new.experiment, protocol=protocol)), 99)
        assert bool(verdict_of(old, new, FOLDER).lines) == comparable


def test_a_changed_method_is_no_reproduction(store):
    old, new = pair(store)
    verdict = verdict_of(old, new, Reproduced("/somewhere/old", ("loss_funcs/metric_loss/alpha",)))
    assert verdict.sentences[0].startswith(
        "no reproduction: the method of old was changed (loss_funcs/metric_loss/alpha)"
    )
    assert not verdict.lines


def test_with_the_same_seed_every_bit_counts(store):
    old, _ = pair(store)
    again = replace(old, experiment=replace(old.experiment, name="again"))
    assert "the same numbers bit for bit" in verdict_of(old, again, FOLDER).sentences[0]
    trial = next(t.id for t in old.trials if t.label == "reproduction:4")
    first, *rest = old.evaluations[trial]
    moved = replace(first, value=first.value * (1 + 2**-52))
    other = replace(again, evaluations={**old.evaluations, trial: (moved, *rest)})
    said = verdict_of(old, other, FOLDER).sentences[0]
    assert "differ; the first is reproduction 4" in said
    assert f"{first.value!r}, now {moved.value!r}" in said


def test_what_differs_in_the_environment_is_said(store):
    old, new = pair(store)
    assert "environment: the same." in verdict_of(old, new, FOLDER).sentences
    changed = tuple(replace(row, content={**row.content, "torch": "9.9"}) for row in new.environments)
    said = verdict_of(old, replace(new, environments=changed), FOLDER).sentences
    assert "environment: torch 2.14.1 -> 9.9." in said


def test_it_is_printed_and_written_where_a_reproduction_lies(tmp_path):
    said = []
    with Store.open(tmp_path / "results.sqlite") as store:
        pair(store)
        old, new = tmp_path / "old", tmp_path / "new"
        report_verdict(store, "new", new, said.append)
        assert not said
        remember(new, FOLDER, None)
        report_verdict(store, "new", new, said.append)
        assert said == [
            "verdict: no earlier results were found in /somewhere/old, so there is nothing to compare with."
        ]
        remember(new, FOLDER, store.write_record("old", old))
        report_verdict(store, "new", new, said.append)
    assert "MAP@R" in said[1]
    assert "±" in said[1]
    assert {path.name for path in (new / "meta_logs").iterdir()} == {"verdict.csv", "verdict.md", "verdict.tex"}


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"folder": 3, "changed": []}', '{"folder": "a", "changed": [1]}'])
def test_a_damaged_memory_is_told(tmp_path, content):
    (tmp_path / "reproduces.json").write_text(content)
    with pytest.raises(UserError, match=r"reproduces\.json"):
        reproduced_by(tmp_path)
