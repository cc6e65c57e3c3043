"""docs/faults.md claims nothing that no test shows."""

import re

from tests.faults.running import ROOT


def test_every_test_that_the_table_of_faults_names_exists():
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "docs" / "faults.md").read_text()))
    defined = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text(), re.M)
    }
    assert named - defined == set()
    assert len(named) > 30


def test_every_fault_that_is_tested_stands_in_the_table():
    text = (ROOT / "docs" / "faults.md").read_text()
    for name in ("table", "of_processes", "stopping", "security"):
        for test in re.findall(
            r"^def (test_\w+)", (ROOT / "tests" / "faults" / f"test_faults_{name}.py").read_text(), re.M
        ):
            assert f"`{test}`" in text
