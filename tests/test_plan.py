import pytest

from powerbench.errors import UserError
from powerbench.plan import Budget, Plan, reproduction_numbers, run_seed


def test_reproductions_are_the_arguments_of_a_range():
    assert reproduction_numbers("3") == (0, 1, 2)
    assert reproduction_numbers("2,5") == (2, 3, 4)
    assert reproduction_numbers("0") == ()


@pytest.mark.parametrize("text", ["ten", "", "-1", "5,2", "1,2,3", "1.5"])
def test_reproductions_refuse_anything_else(text):
    with pytest.raises(UserError, match="--reproductions"):
        reproduction_numbers(text)


def test_seeds_differ_along_every_axis_and_do_not_depend_on_the_method():
    seeds = {
        run_seed(seed, kind, number, fold)
        for seed in (0, 1)
        for kind in ("search", "reproduction", "single")
        for number in (0, 1)
        for fold in (0, 1)
    }
    assert len(seeds) == 24
    assert run_seed(0, "search", 1, 2) == run_seed(0, "search", 1, 2)


def test_a_seed_is_the_same_on_every_machine():
    assert run_seed(0, "search", 0, 0) == 8424810509014635251


def test_a_resumed_budget_never_shrinks():
    assert Budget(6, (0, 1)).at_least(Budget(3, (1, 2))) == Budget(6, (0, 1, 2))
    assert Budget(0, (), repeats=0).at_least(Budget()).repeats == 0


@pytest.mark.parametrize("budget", [Budget(4, (2, 3)), Budget(0, (0,), repeats=0), Budget()])
def test_a_budget_survives_json(budget):
    assert Budget.from_plain(budget.plain()) == budget


def test_a_plan_counts_trials_fold_runs_and_iterations():
    plan = Plan(trials=60, folds=4, epochs=10, iterations_per_epoch=100)
    assert (plan.fold_runs, plan.iterations) == (240, 240_000)


def test_a_budget_of_nothing_is_a_single_trial():
    assert Budget().single
    assert not Budget(1).single
    assert not Budget(0, (0,)).single
    assert not Budget(repeats=0).single
