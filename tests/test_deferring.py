import importlib
import subprocess
import sys

import pytest

from powerbench.deferring import put_off

PACKAGE = """
def __getattr__(name):
    import importlib
    return importlib.import_module(f"{__name__}.{name}")
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package with a module ``heavy``, and a library that imports it."""
    folder = tmp_path / "some_package"
    folder.mkdir()
    (folder / "__init__.py").write_text(PACKAGE)
    (folder / "heavy.py").write_text("answer = 42")
    (tmp_path / "some_library.py").write_text("import some_package.heavy\ndef used(): return some_package.heavy.answer")
    monkeypatch.syspath_prepend(tmp_path)
    yield "some_package.heavy"
    for name in ("some_package", "some_package.heavy", "some_library"):
        sys.modules.pop(name, None)


def test_what_is_put_off_is_imported_when_it_is_used(package):
    with put_off(package):
        library = importlib.import_module("some_library")
    assert package not in sys.modules
    assert library.used() == 42
    assert sys.modules[package].__file__.endswith("heavy.py")


def test_inside_the_block_it_can_be_used_too(package):
    with put_off(package):
        assert importlib.import_module("some_library").used() == 42
        from some_package.heavy import answer
    assert answer == 42
    assert sys.modules[package].__file__.endswith("heavy.py")


def test_a_look_through_all_modules_imports_nothing(package):
    with put_off(package):
        assert not hasattr(sys.modules[package], "__file__")
    assert package not in sys.modules


def test_what_is_there_already_stays(package):
    module = importlib.import_module(package)
    with put_off(package):
        assert importlib.import_module(package) is module
    assert sys.modules[package] is module


@pytest.mark.slow
def test_finding_a_loss_of_the_library_does_not_import_statistics():
    text = (
        "import sys; from powerbench.classes import find_class; find_class('loss', 'TripletMarginLoss'); "
        "assert 'scipy.stats' not in sys.modules; from pytorch_metric_learning.utils.common_functions import "
        "make_label_to_rank_dict as ranks; assert ranks([7, 3]) == {7: 1, 3: 0}"
    )
    subprocess.run([sys.executable, "-c", text], check=True)


WITHOUT_COMPILER = """
import os, sys
from powerbench.deferring import put_off_compiler
put_off_compiler()
put_off_compiler()
import torch, torchvision
from torchvision.transforms import v2
parameter = torch.nn.Parameter(torch.ones(3))
optimizer = torch.optim.Adam([parameter], lr=0.1)
optimizer.zero_grad()
parameter.square().sum().backward()
optimizer.step()
optimizer.load_state_dict(optimizer.state_dict())
assert torch.allclose(parameter, torch.full((3,), 0.9))
there = "torch._dynamo.eval_frame"
assert there not in sys.modules and not any(name.startswith("sympy") for name in sys.modules)
mark = torch.compiler.disable(lambda: 1)
assert mark() == torch.compiler.disable()(mark)() == 1
for use in sys.argv[1:]:
    if os.fork() == 0:
        exec(use)
        assert there in sys.modules and torch._dynamo.__file__ and torch._dynamo.utils.counters is not None
        optimizer.step()
        os._exit(0)
    assert os.wait()[1] == 0, use
"""
USES = (
    "f = torch.compile(lambda x: x * 2, backend='eager'); assert torch.equal(f(parameter), parameter * 2)",
    "from torchvision.ops.roi_align import is_compile_supported; assert is_compile_supported('cpu') in (0, 1)",
    "import torch._dynamo.config as config; assert config.recompile_limit",
    "from torch._dynamo.utils import counters; assert counters is torch._dynamo.utils.counters",
)


@pytest.mark.slow
def test_optimisers_do_without_the_compiler_until_something_is_compiled():
    subprocess.run([sys.executable, "-c", WITHOUT_COMPILER, *USES], check=True)
