"""The command that a report gives for a search whose best trial lies on a bound, typed as it stands."""

import html
import json
import subprocess

import pytest

from powerbench.cli import main
from powerbench.store.store import Store

pytestmark = pytest.mark.slow


def test_the_command_that_widens_a_search_works_as_it_is_printed(world, capsys):
    both_ends = ["--first_trials", "[{neg_margin: 0.0},", "{neg_margin: 1.0}]", "--search_strategy", "random"]
    assert world.run("t", *both_ends, trials=2) == 0
    printed = capsys.readouterr().out
    assert "warning: the best trial's neg_margin = " in printed
    (command,) = [line for line in printed.splitlines() if line.startswith("  python run.py ")]
    page = (world.root / "t" / "meta_logs" / "report.html").read_text()
    cache = f" --cache_dir {world.folder / 'cache'}"
    assert cache in command, "where things lie was said by a flag"
    assert f"<code>{html.escape(command.strip().replace(cache, ''))}</code>".replace("&#x27;", "&#39;") in page
    expanded = subprocess.run(["bash", "-c", f"printf '%s\\n' {command}"], capture_output=True, text=True, check=True)
    program, script, *words = expanded.stdout.splitlines()
    assert (program, script) == ("python", "run.py")
    assert main(words) == 0
    best = json.loads(world.best("t")[3])["loss_funcs/metric_loss/ContrastiveLoss/neg_margin"]
    with Store.open(world.root / "results.sqlite") as store:
        experiment = store.experiment("t")
        searched = experiment.config["config_loss_and_miners"]["loss_funcs"]["metric_loss"]["ContrastiveLoss"]
        assert searched == {"neg_margin~BAYESIAN~": [0.0, 1.5] if best == 1.0 else [-0.5, 1.0]}
        assert len(store.trials(experiment.id, "search")) == 3
        assert experiment.budget["trials"] == 3
