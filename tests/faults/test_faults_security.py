"""Files and names from others: nothing in them runs, leaves its folder, or is taken for markup; no network is used."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import socket
import time
from pathlib import Path

import pytest
import torch

from powerbench.cli import main
from powerbench.config.yaml_text import parse_yaml
from powerbench.errors import UserError
from powerbench.models.weights import read_state
from tests.faults.conftest import SIZE
from tests.faults.running import differences, outcome


class Harmful:
    """Unpickled by a careless loader, it makes a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.fixture(name="sent")
def _sent(finished, world):
    """The folder of the experiment alone, as somebody sends it, outside of the experiments of the world."""
    shutil.copytree(finished.root / "t", world.folder / "sent")
    return world.folder / "sent"


def harmful_file(path: Path, proof: Path, form: str) -> None:
    content = {"key": Harmful(proof), "0.weight": Harmful(proof)}
    if form == "pickle":
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=form == "zip")


@pytest.mark.parametrize("form", ["pickle", "zip", "older torch"])
@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_code_in_weights_is_not_run(form, tmp_path):
    harmful_file(tmp_path / "weights.pth", tmp_path / "was here", form)
    with pytest.raises(UserError, match=r"weights\.pth is damaged, or holds more than tensors"):
        read_state(tmp_path / "weights.pth")
    assert not (tmp_path / "was here").exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["embedder_best.pth", "trunk_best.pth"])
def test_code_in_the_weights_of_a_sent_experiment_is_not_run(name, copied, capsys):
    for path in copied.root.rglob(name):
        harmful_file(path, copied.folder / "was here", "zip")
    assert copied.run("t", "--evaluate", "--splits_to_eval", "[train]", **SIZE) == 2
    assert "holds more than tensors" in capsys.readouterr().err
    assert not (copied.folder / "was here").exists()


def test_code_in_a_pretrained_trunk_is_not_run(world, capsys):
    harmful_file(world.folder / "weights.pth", world.folder / "was here", "zip")
    trunk = f"{{trunk~OVERRIDE~: {{resnet18: {{weights: {world.folder / 'weights.pth'}}}}}}}"
    assert world.run("t", "--models", trunk) == 2
    assert "holds more than tensors" in capsys.readouterr().err
    assert not (world.folder / "was here").exists()
    assert not world.root.exists()


RUNS_CODE = "!!python/object/apply:os.mkdir ['was here']"


def test_code_in_yaml_is_refused_wherever_it_is_read(world, capsys, monkeypatch):
    (world.folder / "evil.yaml").write_text(f"patience: {RUNS_CODE}\n")
    (world.folder / "evil_suite.yaml").write_text(f"trials: {RUNS_CODE}\nreproductions: 1\nmethods: {{a: {{}}}}\n")
    user_file = world.folder / "user" / "powerbench.yaml"
    user_file.parent.mkdir()
    evil = str(world.folder / "evil.yaml")
    commands = [
        ["--experiment_name", "t", "--config_general", f"[default, {evil}]"],
        world.words("t", "--patience", RUNS_CODE),
        ["suite", str(world.folder / "evil_suite.yaml")],
        ["validate", "--config_general", f"[default, {evil}]"],
    ]
    for words in commands:
        assert main(words) == 2
        assert "could not determine a constructor for the tag" in capsys.readouterr().err
    user_file.write_text(f"dataset_root: {RUNS_CODE}\n")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(user_file.parent))
    assert main(["list"]) == 2
    assert "powerbench.yaml" in capsys.readouterr().err
    assert not (world.folder / "was here").exists()
    assert not world.root.exists()


GROWING = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (GROWING, "more than 1,000,000 values"),
        ("a: &a [*a]", "contains itself"),
        ("a: " + "[" * 1500 + "]" * 1500, "nested too deeply"),
    ],
    ids=["growing", "endless", "deep"],
)
def test_yaml_cannot_grow_beyond_measure(text, told):
    started = time.monotonic()
    with pytest.raises(UserError, match=told):
        parse_yaml(text, "evil.yaml")
    assert time.monotonic() - started < 30


def change(record: Path, table: str, column: str, value: object, row: int = 0) -> None:
    content = json.loads(record.read_text())
    where = content["tables"][table]
    where["rows"][row][where["columns"].index(column)] = value
    record.write_text(json.dumps(content))


HOSTILE = {
    "a path as name": ("experiments", "name", "../../outside"),
    "a run elsewhere": ("runs", "folder", "../../outside"),
    "a number beyond all": ("runs", "seconds", 10**400),
    "a text for a number": ("measurements", "value", "0.5"),
    "a number for a text": ("trials", "started", 5),
    "an unknown state": ("trials", "state", "splendid"),
}


@pytest.mark.slow
@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_record_is_refused_by_every_command_that_reads_one(what, sent, world, capsys):
    change(sent / "record.json", *HOSTILE[what])
    before = sorted(world.folder.rglob("*"))
    place = ["--root_experiment_folder", str(world.folder / "mine")]
    for words in (["report", str(sent)], ["compare", str(sent), str(sent)]):
        assert main([*words, *place]) == 2
        said = capsys.readouterr().err
        assert str(sent) in said
        assert "Traceback" not in said
    assert main(["--reproduce_results", str(sent), "--experiment_name", "again", *place]) == 2
    assert sorted(world.folder.rglob("*")) == before


NAME = "a|b<script>alert(1)$x_1%&#{}^~`*[l](u)"


@pytest.mark.slow
def test_names_from_others_are_text_in_every_table_and_on_the_terminal(sent, world, capsys):
    change(sent / "record.json", "experiments", "name", NAME)
    change(sent / "record.json", "trials", "state", "failed")
    change(sent / "record.json", "trials", "error", "\x1b[2J\x1b]0;title\x07 \u202eevil")
    before = {path for path in world.folder.rglob("*") if not path.is_relative_to(sent)}
    assert main(["report", str(sent), "--root_experiment_folder", str(world.folder / "mine")]) == 0
    said = capsys.readouterr()
    assert not {"\x1b", "\x07", "\u202e"} & {*said.out, *said.err}
    assert NAME in said.out
    page, markdown, latex = ((sent / "meta_logs" / f).read_text() for f in ("report.html", "results.md", "results.tex"))
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert r"a\|b\<script\>" in markdown
    assert "a|b<script>" not in markdown
    assert r"\textbar{}b\textless{}script\textgreater{}" in latex
    assert r"\$x\_1\%\&\#\{\}\textasciicircum{}\textasciitilde{}" in latex
    assert {path for path in world.folder.rglob("*") if not path.is_relative_to(sent)} == before


@pytest.mark.parametrize("name", ["../out", "/tmp/out", "a/b", "..", ".hidden", "a\\b", "-rf", "a b", "meta_logs"])
def test_names_cannot_leave_their_folder(name, world, capsys):
    shared = "trials: 0\nreproductions: 1\n"
    (world.folder / "s.yaml").write_text(f"{shared}methods: {{{json.dumps(name)}: {{}}}}\n")
    before = sorted(world.folder.rglob("*"))
    place = ["--root_experiment_folder", str(world.root)]
    commands = [world.words(name), ["--reproduce_results", "t", "--experiment_name", name, *place]]
    if name not in ("-rf", "..", ".hidden", "meta_logs"):  # s_-rf and s_.. are names like any other
        commands.append(["suite", str(world.folder / "s.yaml"), *place])
    for words in commands:
        assert main(words) == 2
        assert "cannot name an experiment" in capsys.readouterr().err
    if not name.startswith("-"):
        assert main(["delete", name, "--yes", *place]) == 2
    assert sorted(world.folder.rglob("*")) == before


@pytest.mark.slow
def test_no_network_is_used_unless_it_is_asked_for(world, monkeypatch, expected):
    def refuse(*arguments):
        raise AssertionError(f"the network was used: {arguments}")

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    for name in ("getaddrinfo", "gethostbyname", "create_connection"):
        monkeypatch.setattr(socket, name, refuse)
    assert world.run("t", **SIZE) == 0
    place = ["--root_experiment_folder", str(world.root)]
    assert main(["report", "t", *place]) == 0
    assert main(["status", *place]) == 0
    assert main(["validate", "suite", "demo", *place]) == 0
    assert differences(outcome(world), expected) == []
