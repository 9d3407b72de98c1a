"""Imports flow down, and the model side and the data side stay apart."""

import ast
import importlib
import pathlib

import pytest

PACKAGE = pathlib.Path(__file__).parent.parent / "poph_tf"
COMMANDS = {"train", "evaluate", "generate", "export", "live", "serve"}
# The levels of the package: a module imports from its own level and those below.
LEVELS = (
    {"errors", "theory", "named_chords", "config", "cores", "files", "locks"}
    | {"provenance", "cli"},
    {"data", "models"},
    {"training", "generation", "evaluation", "rendering"},
    {"serving", "playing"},
    COMMANDS,
)


def module_of(path):
    """`models/layers/nade.py` -> layers.nade; a package is named by its folder."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def imports_of(path, *, at_the_top):
    """Modules of this package that a file imports, all or only at its top level."""
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
    """All modules that importing `start` brings in, except itself."""
    seen, left = set(), [start]
    while left:
        new = graph[left.pop()] - seen
        seen |= new
        left += new
    return seen


def part(name):
    return name.partition(".")[0]


def level_of(name):
    return next(k for k, level in enumerate(LEVELS) if part(name) in level)


def test_the_graph_of_imports_is_read():
    step = "training.train_step"
    assert "models.losses" in ALL[step] and "theory" in reached(step, ALL)
    assert "models" in {part(name) for name in ALL["generate"]}


@pytest.mark.parametrize("name", ["poph_tf", "poph_tf.models", "poph_tf.serving"])
def test_names_that_are_imported_at_their_first_use_are_listed(name):
    package = importlib.import_module(name)
    assert set(package.__all__) <= set(dir(package))
    assert not {"Any", "importlib", "os", "TYPE_CHECKING"} & set(dir(package))


@pytest.mark.parametrize("name", sorted(PATHS))
def test_imports_have_no_cycle(name):
    # A package's own module imports its files, which may name the package's siblings.
    around = reached(name, TOP) - {part(name)}
    assert name not in around


@pytest.mark.parametrize("name", sorted(set(PATHS) - {""}))
def test_imports_run_down_the_levels(name):
    above = {o for o in TOP[name] - {""} if level_of(o) > level_of(name)}
    assert not above


@pytest.mark.parametrize("name", sorted(n for n in PATHS if part(n) == "data"))
def test_data_never_sees_models(name):
    assert "models" not in {part(other) for other in ALL[name]}


@pytest.mark.parametrize("name", sorted(n for n in PATHS if part(n) == "models"))
def test_models_never_see_data(name):
    assert "data" not in {part(other) for other in ALL[name]}


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
