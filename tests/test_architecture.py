"""Imports go one way, and what the command line starts with is light."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

LAYERS = [
    ["errors", "seeding", "files", "jobs", "console", "environment", "ending"],
    ["split_managers"],
    ["evaluation.names"],
    ["config"],
    ["class_folders", "libraries", "deferring", "starting", "arguments", "classes"],
    ["plan", "roots"],
    ["protocol"],
    ["datasets"],
    ["models"],
    ["data"],
    ["config.check"],
    ["losses", "miners"],
    ["methods"],
    ["evaluation"],
    ["training"],
    ["store"],
    ["meta_logs"],
    ["legacy"],
    ["search"],
    ["execution"],
    ["driver"],
    ["commands"],
    ["cli"],
]
RANK = {room: rank for rank, rooms in enumerate(LAYERS) for room in rooms}


def room_of(module: str) -> str | None:
    """The longest known prefix of a module's name below powerbench, or its top-level package."""
    parts = module.split(".")
    if parts[0] == "powerbench":
        parts = parts[1:]
    for length in range(len(parts), 0, -1):
        if ".".join(parts[:length]) in RANK:
            return ".".join(parts[:length])
    return None


def modules():
    for package in ("powerbench", "split_managers", "meta_logs"):
        for path in sorted((ROOT / package).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            if name not in ("powerbench", "split_managers", "meta_logs") or package != "powerbench":
                yield name, path


def imported(path: Path, *, module_level: bool):
    tree = ast.parse(path.read_text())
    nodes = tree.body if module_level else list(ast.walk(tree))
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize(("name", "path"), list(modules()), ids=lambda value: value if isinstance(value, str) else "")
def test_imports_go_down_the_layers(name, path):
    own = room_of(name)
    assert own is not None, f"{name} has no room: add it to the layers"
    for target in imported(path, module_level=False):
        if target.split(".")[0] not in ("powerbench", "split_managers", "meta_logs"):
            continue
        room = room_of(target)
        if room is not None:
            assert RANK[room] <= RANK[own], f"{name} (layer {own}) imports {target} (layer {room})"


def test_split_managers_import_nothing_of_powerbench():
    for path in (ROOT / "split_managers").rglob("*.py"):
        assert not [m for m in imported(path, module_level=False) if m.split(".")[0] in ("powerbench", "torch")]


def test_only_search_imports_ax_and_reports_import_neither_torch_nor_ax():
    for name, path in modules():
        tops = {module.split(".")[0] for module in imported(path, module_level=False)}
        if room_of(name) != "search":
            assert "ax" not in tops, name
        if name.startswith("meta_logs"):
            assert "torch" not in tops, name


def test_no_module_imports_ax_when_it_is_imported():
    for name, path in modules():
        assert "ax" not in {module.split(".")[0] for module in imported(path, module_level=True)}, name
