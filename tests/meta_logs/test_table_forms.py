"""One table, four forms: exact in CSV, escaped where it must be, aligned for the eye."""

import csv
import io
import math
import re

import pytest

from meta_logs.formatting import Estimate, is_fraction, metric_label, parameters_text, plain, short_names, words
from meta_logs.table import Table

HOSTILE = r"a|b`*_[x](y)<script>#&%$^~{}\n"
TABLE = Table(
    "50% of a_b",
    ("Method", "MAP@R", "p", "n"),
    (
        ("first", Estimate(0.1 + 0.2, 0.0123456789, 5, percent=True), 1e-300, 5),
        (HOSTILE, Estimate(0.25, None, 1, percent=True), math.nan, None),
        ("gap", None, None, 2),
    ),
    ("5 % of them & more",),
)


def test_csv_is_exact_and_not_escaped():
    rows = list(csv.reader(io.StringIO(TABLE.csv)))
    assert rows[0] == ["Method", "MAP@R", "MAP@R half width", "MAP@R n", "p", "n"]
    assert rows[1] == ["first", "0.30000000000000004", "0.0123456789", "5", "1e-300", "5"]
    assert rows[2] == [HOSTILE, "0.25", "", "1", "nan", ""]
    assert rows[3] == ["gap", "", "", "", "", "2"]


def test_csv_quotes_commas_quotes_and_line_breaks():
    name = 'x,"y"\nz'
    assert list(csv.reader(io.StringIO(Table("", ("a",), ((name,),)).csv)))[1] == [name]


def test_markdown_cells_cannot_be_left_or_marked_up():
    lines = TABLE.markdown.splitlines()
    rows = [line for line in lines if line.startswith("|")]
    assert rows[1] == "| --- | ---: | ---: | ---: |"
    assert rows[2] == "| first | 30.00 ± 1.23 (5) | 1e-300 | 5 |"
    for row in rows:
        assert len(re.split(r"(?<!\\)\|", row)) == 6, row
    assert r"\<script\>" in rows[3]
    assert r"a\|b\`\*\_\[x\]" in rows[3]
    assert re.sub(r"\\(.)", r"\1", rows[3].split(" | ")[0][2:]) == HOSTILE
    assert "\n" not in Table("", ("a",), (("x\ny",),)).markdown.splitlines()[-1]


def test_latex_is_escaped_and_balanced():
    text = TABLE.latex
    body = text.split(r"\midrule")[1].split(r"\bottomrule")[0]
    assert [line.count("&") - line.count(r"\&") for line in body.strip().splitlines()] == [3, 3, 3]
    assert r"first & 30.00 $\pm$ 1.23 (5) & 1e-300 & 5 \\" in body
    assert r"\caption{50\% of a\_b}" in text
    assert r"\begin{tabular}{lrrr}" in text
    assert r"\textbackslash{}n" in body
    assert r"\textasciicircum{}\textasciitilde{}\{\}" in body
    unescaped = re.sub(r"\\[a-z]+(\{[^{}]*\})?|\\.|\$\\pm\$", "", body)
    assert not re.search(r"[#%$^~_{}]", unescaped), unescaped
    assert "5 \\% of them \\& more" in text


def test_text_is_aligned():
    lines = TABLE.text.splitlines()
    assert lines[0] == "50% of a_b"
    assert lines[3].index("30.00 ± 1.23 (5)") + len("30.00 ± 1.23 (5)") == lines[1].index("MAP@R") + 5
    assert {len(line) for line in lines[2:4]} == {len(lines[2])}
    assert lines[-1] == "5 % of them & more"


def test_an_empty_table_has_its_head():
    empty = Table("none", ("a", "b"), ())
    assert empty.csv == "a,b\n"
    assert empty.text.splitlines()[1:] == ["a  b", "-  -"]
    assert "| a | b |" in empty.markdown
    assert r"\begin{tabular}{ll}" in empty.latex


def test_tables_are_written_in_every_form(tmp_path):
    TABLE.write(tmp_path / "new", "results")
    written = {path.name: path.read_text() for path in (tmp_path / "new").iterdir()}
    assert written == {"results.csv": TABLE.csv, "results.md": TABLE.markdown, "results.tex": TABLE.latex}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        ("two\n lines", "two lines"),
        (7, "7"),
        (0.123456, "0.1235"),
        (1e-300, "1e-300"),
        (math.inf, "inf"),
        (Estimate(0.43214, 0.00521, 10, percent=True), "43.21 ± 0.52 (10)"),
        (Estimate(0.43214, None, 1, percent=True), "43.21 (1)"),
        (Estimate(1.23456, 0.0456, 3), "1.235 ± 0.046 (3)"),
        (Estimate(-0.01, 0.002, 3, percent=True), "-1.00 ± 0.20 (3)"),
    ],
)
def test_values_as_people_read_them(value, text):
    assert plain(value) == text


def test_names_as_people_read_them():
    labels = {
        "map_at_r": "MAP@R",
        "precision_at_1": "R@1",
        "nmi": "NMI",
        "nmi_sd": "NMI sd",
        "c_recall_at_10": "c_R@10",
    }
    labels |= {"map_at_10": "MAP@10", "c_map_lim": "c_mAP_lim", "class_recall_at_1": "class R@1", "f1": "F1"}
    labels |= {"rho_spectrum_at_-1": "rho_spectrum@-1", "uniformity": "uniformity"}
    assert {metric: metric_label(metric) for metric in labels} == labels
    spaces = {"rho_spectrum_at_-1", "uniformity", "spectral_decay", "dists_intra"}
    assert all(is_fraction(metric) for metric in labels.keys() - spaces)
    assert not any(is_fraction(metric) for metric in spaces)
    assert words("untrained_trunk") == "untrained trunk"


def test_parameters_are_named_as_short_as_can_be():
    paths = ["loss/A/margin", "miner/B/margin", "loss/A/alpha", "margin/x", "x"]
    names = short_names(paths)
    assert names == {
        "loss/A/margin": "A/margin",
        "miner/B/margin": "B/margin",
        "loss/A/alpha": "alpha",
        "margin/x": "margin/x",
        "x": "x",
    }
    assert parameters_text({"a/b/scale": 12.34567, "a/b/kind": "x"}) == "scale 12.35, kind x"
