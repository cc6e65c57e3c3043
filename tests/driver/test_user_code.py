import pytest

from powerbench.driver.user_code import adopt, copy_files, located
from powerbench.errors import UserError
from powerbench.files import sha256_of


def test_files_are_named_by_their_content_copied_and_found_again(tmp_path):
    source = tmp_path / "my_loss.py"
    source.write_text("class L: pass")
    config = {"loss_funcs": {"metric_loss": {f"{source}:L": {"margin~BAYESIAN~": [0, 1]}}}, "note": "a.py is no class"}
    adopted, files = adopt(config, None)
    name = f"my_loss_{sha256_of(source)[:12]}.py"
    assert adopted["loss_funcs"]["metric_loss"] == {f"{name}:L": {"margin~BAYESIAN~": [0, 1]}}
    assert adopted["note"] == "a.py is no class"
    folder = tmp_path / "experiment" / "user_code"
    assert located(adopted, folder, files)["loss_funcs"]["metric_loss"].keys() == {f"{source}:L"}
    copy_files(files, folder)
    source.write_text("changed")
    assert located(adopted, folder)["loss_funcs"]["metric_loss"].keys() == {f"{folder / name}:L"}
    assert (folder / name).read_text() == "class L: pass"
    assert adopt(adopted, folder) == (adopted, {})


def test_a_changed_file_is_a_changed_config(tmp_path):
    source = tmp_path / "my_loss.py"
    source.write_text("a")
    first, _ = adopt({f"{source}:L": None}, None)
    source.write_text("b")
    assert adopt({f"{source}:L": None}, None)[0] != first


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"nowhere\.py"):
        adopt({"nowhere.py:L": None}, tmp_path)
