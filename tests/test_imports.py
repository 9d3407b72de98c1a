"""Imports flow down, and the model side and the data side stay apart."""

import ast
import pathlib

import pytest

PACKAGE = pathlib.Path(__file__).parent.parent / "poph_tf"
COMMANDS = {"train", "evaluate", "generate", "export", "serve"}
# What a network is made of and drawn from: it never sees a music file.
MODEL_SIDE = {
    "composing.particles",
    "composing.randomness",
    "composing.steering",
    "layers",
    "learning.stepping",
    "losses",
    "metrics",
    "models",
    "network",
    "sampling",
}
# From a music file to records and back: it never sees a network.
MUSIC_FILES = {"matrices", "midi", "music", "preparation"}
DATA_SIDE = MUSIC_FILES | {"examples", "records"}
JOBS = {"dataset", "training", "likelihood", "serving"}


def module_of(path):
    """`layers/nade.py` -> layers.nade; a package is named by its folder."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def imports_of(path, *, at_the_top):
    """Modules of ours that a file imports; all of them, or those at its top level."""
    tree = ast.parse(path.read_text("utf-8"))
    nodes = tree.body if at_the_top else ast.walk(tree)
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {a.name for a in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports by relative name."
            found |= {f"{node.module}.{a.name}" for a in node.names}
    inside = {name.removeprefix("poph_tf.") for name in found if "poph_tf." in name}
    return {known for name in inside if (known := longest_known(name))}


def longest_known(name):
    while name and name not in PATHS:
        name = name.rpartition(".")[0]
    return name


PATHS = {module_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}
TOP = {name: imports_of(path, at_the_top=True) for name, path in PATHS.items()}
ALL = {name: imports_of(path, at_the_top=False) for name, path in PATHS.items()}


def reached(start, graph):
    """All modules that importing `start` brings in, itself left out."""
    seen, left = set(), [start]
    while left:
        new = graph[left.pop()] - seen
        seen |= new
        left += new
    return seen


def part(name):
    return name.partition(".")[0]


def within(names, side):
    """Those of some modules that are on a side, or in a package that is."""
    return {n for n in names if any(f"{n}.".startswith(f"{s}.") for s in side)}


def test_the_graph_of_imports_is_read():
    step = "learning.stepping"
    assert "losses" in TOP[step] and "theory" in reached(step, TOP)
    assert "models" in ALL["generate"] and "models" not in TOP["generate"]


@pytest.mark.parametrize("name", sorted(PATHS))
def test_imports_have_no_cycle(name):
    # A package's own module imports its files, which may name the package's siblings.
    around = reached(name, TOP) - {part(name)}
    assert name not in around


@pytest.mark.parametrize("name", ["theory", "errors"])
def test_level_0_imports_nothing_of_ours(name):
    assert not ALL[name] - {""}


@pytest.mark.parametrize("name", sorted(within(PATHS, MODEL_SIDE)))
def test_the_model_side_never_sees_music_files(name):
    assert not within(reached(name, TOP) | ALL[name], MUSIC_FILES)


@pytest.mark.parametrize("name", sorted(within(PATHS, DATA_SIDE)))
def test_the_data_side_never_sees_models(name):
    assert not within(reached(name, TOP) | ALL[name], MODEL_SIDE | JOBS)


@pytest.mark.parametrize("name", sorted(MODEL_SIDE | DATA_SIDE | JOBS | COMMANDS))
def test_what_is_named_here_is_there(name):
    assert name in PATHS


@pytest.mark.parametrize("name", sorted(PATHS))
def test_nothing_imports_a_command(name):
    assert not {part(other) for other in ALL[name]} & COMMANDS - {part(name)}


@pytest.mark.parametrize("name", sorted(COMMANDS & set(PATHS)))
def test_a_command_answers_help_without_tensorflow(name):
    tree = ast.parse(PATHS[name].read_text("utf-8"))
    outside = {
        part(a.name) if isinstance(node, ast.Import) else part(node.module)
        for node in tree.body
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for a in node.names
    }
    assert not outside & {"tensorflow", "keras"}
    for other in reached(name, TOP):
        text = PATHS[other].read_text("utf-8")
        assert "\nimport tensorflow" not in text, other
