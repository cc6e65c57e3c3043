import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from powerbench.config.argv import parse
from powerbench.config.yaml_text import flow
from powerbench.errors import UserError

FLAGS = {
    "experiment_name": str, "bayes_opt_iters": int, "rate": float, "evaluate": bool, "dataset_root": Path,
    "names": list, "resume_training": ("latest", "best"),
}  # fmt: skip


def line(text):
    return parse(shlex.split(text), FLAGS)


def refusal(text):
    with pytest.raises(UserError) as caught:
        line(text)
    return str(caught.value)


def bash_words(text):
    """The words that bash makes of an unquoted command line."""
    shell = shutil.which("bash")
    assert shell is not None
    done = subprocess.run([shell, "-c", f"printf '%s\\0' {text}"], capture_output=True, text=True, check=True)
    return done.stdout.split("\0")[:-1]


@pytest.mark.parametrize("name", ["experiment_name", "bayes_opt_iters", "dataset_root", "resume_training"])
def test_a_stray_word_is_no_part_of_a_flags_single_value(name):
    assert f"--{name}: takes one value, not 2" in refusal(f"--{name} latest patience~OVERRIDE~")
    assert line("--dataset_root 'with spaces'").flags == {"dataset_root": Path("with spaces")}


def test_flags_have_types():
    parsed = line("--experiment_name 007 --bayes_opt_iters 6 --rate 1e-3 --evaluate --dataset_root /a/b --names a b")
    assert parsed.flags == {
        "experiment_name": "007", "bayes_opt_iters": 6, "rate": 1e-3, "evaluate": True,
        "dataset_root": Path("/a/b"), "names": ("a", "b"),
    }  # fmt: skip
    assert line("--experiment_name 1e5").flags == {"experiment_name": "1e5"}
    assert line("--experiment_name null").flags == {"experiment_name": "null"}
    assert line("--experiment_name=x --seed=3").overrides == {"seed": 3}
    assert line("--evaluate false").flags == {"evaluate": False}
    assert line("--resume_training best").flags == {"resume_training": "best"}


def test_config_names_are_lists_however_they_are_written():
    for text in ("[default, demo]", "[default,demo]", "default demo", "'[default, demo]'"):
        assert line(f"--config_general {text}").config_names == {"config_general": ("default", "demo")}
    assert line("--config_general demo").config_names == {"config_general": ("demo",)}
    assert line("--config_general []").config_names == {"config_general": ()}
    assert line("--config_factories [default]").config_names == {"config_factories": ("default",)}


def test_overrides_keep_operators_order_and_yaml_types():
    parsed = line(
        "--patience null --trainer~APPLY~2 {batch_size: 256} --seed -5 --freeze_trunk --splits_to_eval [test]"
    )
    assert list(parsed.overrides.items()) == [
        ("patience", None), ("trainer~APPLY~2", {"batch_size": 256}), ("seed", -5), ("freeze_trunk", True),
        ("splits_to_eval", ["test"]),
    ]  # fmt: skip


def test_the_published_commands_arrive_whole_from_bash():
    words = bash_words(
        "--experiment_name t1 --bayes_opt_iters 6 --config_general [default, demo] --loss_funcs~OVERRIDE~ "
        "{metric_loss: {MultiSimilarityLoss: {alpha~LOG_BAYESIAN~: [0.01, 100], beta~LOG_BAYESIAN~: [0.01, 100], "
        "base~BAYESIAN~: [0, 1]}}} --dataset~OVERRIDE~ {CUB200: {download: True}}"
    )
    parsed = parse(words, FLAGS)
    assert parsed.flags == {"experiment_name": "t1", "bayes_opt_iters": 6}
    assert parsed.overrides["loss_funcs~OVERRIDE~"] == {
        "metric_loss": {
            "MultiSimilarityLoss": {
                "alpha~LOG_BAYESIAN~": [0.01, 100],
                "beta~LOG_BAYESIAN~": [0.01, 100],
                "base~BAYESIAN~": [0, 1],
            }
        }
    }
    assert parsed.overrides["dataset~OVERRIDE~"] == {"CUB200": {"download": True}}


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("--trainer {a:1,b:2}", "--trainer '{a: 1, b: 2}'"),
        ("--trainer {x,y}", "[x, y]"),
        ("--trainer {X: {a:1,b:2}}", "brackets"),
        ("--transforms {train: {Resize: {size: 1},Flip: {p: 1,q: 2}}", "brackets"),
        ("--trainer {X:{a:1},Y:{b:2}}", "quotes"),
    ],
)
def test_what_bash_expanded_is_refused_with_advice_to_quote(typed, told):
    with pytest.raises(UserError) as caught:
        parse(bash_words(typed), FLAGS)
    assert told in str(caught.value)
    assert "quotes" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("stray --seed 1", "stands alone"),
        ("--seed 1 --seed 2", "given twice"),
        ("--patiense 3", "Did you mean --patience"),
        ("--bayes_opt_itres 3", "Did you mean --bayes_opt_iters"),
        ("--experiment-name x", "Did you mean --experiment_name"),
        ("--config_genral [a]", "Did you mean --config_general"),
        ("--", "not a flag"),
        ("--bayes_opt_iters many", "a whole number"),
        ("--bayes_opt_iters 2.5", "a whole number"),
        ("--rate fast", "a number"),
        ("--bayes_opt_iters", "needs a value"),
        ("--evaluate 3", "takes no value"),
        ("--resume_training lastest", "Did you mean latest"),
        ("--config_general {a: 1}", "list of names"),
        ("--config_general [{a: 1}]", "list of names"),
        ("--trainer {a: [1}", "brackets"),
        ("--trainer {a: 1}}", "brackets"),
        ("--trainer {a: 1} b", "quotes"),
        ("--trainer {a: 1, a: 2}", "duplicate key 'a'"),
        ("--trainer {a:1}", "space after the colon"),
        ("--trainer~APPLY~2: {batch_size: 256}", "write trainer~APPLY~2"),
        ("--optimizers {embedder~OVERRIDE~ {a: 1}}", "missing after embedder~OVERRIDE~"),
        ("--trainer~APLY~2 {a: 1}", "trainer~APPLY~N"),
        ("--seed 1 2", "[1, 2]"),
        ("--trainer a: 1, b: 2", "quotes"),
    ],
)
def test_mistakes_are_told(text, told):
    assert told in refusal(text)


def test_quotes_inside_values_hide_brackets():
    assert parse(["--dataset", '{ImageFolder: {root: "a } b"}}'], FLAGS).overrides == {
        "dataset": {"ImageFolder": {"root": "a } b"}}
    }


TEXT = st.from_regex(r"[a-z][a-z0-9_]{0,6}", fullmatch=True).filter(
    lambda t: t not in ("y", "n", "on", "off", "no", "yes")
)
FLOW = st.recursive(
    st.one_of(st.integers(-99, 99), st.booleans(), st.none(), st.floats(-1e3, 1e3), TEXT),
    lambda inner: st.lists(inner, min_size=1, max_size=3) | st.dictionaries(TEXT, inner, min_size=1, max_size=3),
    max_leaves=8,
)


@settings(deadline=None, max_examples=50)
@given(FLOW)
def test_joining_words_equals_quoting(value):
    text = flow(value)
    assert (
        parse(["--trainer", *text.split(" ")], {}).overrides
        == parse(["--trainer", text], {}).overrides
        == {"trainer": value}
    )
