"""A search that an earlier release began."""

import pytest

from powerbench import protocol

pytestmark = pytest.mark.slow


def test_another_version_of_the_search_takes_over_only_when_told_and_the_results_are_marked(world, monkeypatch, capsys):
    assert world.run("t", trials=1) == 0
    monkeypatch.setattr(protocol, "SEARCH_VERSION", protocol.SEARCH_VERSION + 1)
    assert world.resume("t") == 0, "nothing is left to propose"
    assert "settings changed" not in capsys.readouterr().out
    assert world.resume("t", "--bayes_opt_iters", "2") == 2
    said = capsys.readouterr().err
    assert f"was begun by version {protocol.SEARCH_VERSION - 1} of the search" in said
    assert "--merge_argparse_when_resuming" in said
    assert len(world.rows("trials")) == 1
    assert world.resume("t", "--bayes_opt_iters", "2", "--merge_argparse_when_resuming") == 0
    assert "settings changed between trials (search_version)" in capsys.readouterr().out
    assert len(world.rows("trials")) == 2
