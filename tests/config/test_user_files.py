from powerbench.config.user_files import rename_files, wherever_they_lie


def test_files_are_renamed_at_any_depth_and_nothing_else_is():
    config = {"loss": {"a/my.py:Loss": {"miner": ["b.py:Miner", "TripletMarginLoss"]}}, "n": 3, "note": "see a/my.py"}
    renamed = {"loss": {"A/MY.PY:Loss": {"miner": ["B.PY:Miner", "TripletMarginLoss"]}}, "n": 3, "note": "see a/my.py"}
    assert rename_files(config, str.upper) == renamed


def test_a_hashed_file_is_the_same_wherever_it_lies_and_another_is_not():
    hashed = "loss_0123456789ab.py:Loss"
    assert (
        wherever_they_lie({f"/one/user_code/{hashed}": {}}) == wherever_they_lie({f"/two/{hashed}": {}}) == {hashed: {}}
    )
    assert wherever_they_lie("/one/loss.py:Loss") == "/one/loss.py:Loss"
