"""What children of tests say they run while coverage is measured."""

import importlib.util
import pathlib

import pytest

PATH = pathlib.Path(__file__).parent / "children" / "sitecustomize.py"
SOURCE = """"Text."
from __future__ import annotations
def count(items):
    "How many are true."
    found = 0
    for item in items:
        if item:
            found += 1
        else:
            pass
    return found
def choose(value):
    match value:
        case 1:
            return count([0])
    return 2
"""


@pytest.fixture(scope="module")
def marks(tmp_path_factory):
    """The module, and the names of SOURCE, whose code has marks."""
    spec = importlib.util.spec_from_file_location("marks", PATH)
    marks = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(marks)
    path = tmp_path_factory.mktemp("marked") / "source.py"
    path.write_text(SOURCE)
    names = {"mark_as_run": marks.hits.add}
    exec(marks.marked_code(str(path)), names)
    return marks.hits, names


@pytest.mark.parametrize(
    ("call", "lines", "branches"),
    [
        ("count([])", {5, 6, 11}, {(6, 11)}),
        ("count([1])", {5, 6, 7, 8, 11}, {(6, 7), (7, 8), (6, 11)}),
        ("count([0])", {5, 6, 7, 10, 11}, {(6, 7), (7, 10), (6, 11)}),
        ("choose(2)", {13, 16}, {(13, 16)}),
        (
            "choose(1)",
            {13, 15, 5, 6, 7, 10, 11},
            {(13, 15), (6, 7), (7, 10), (6, 11)},
        ),
    ],
)
def test_a_child_says_which_lines_and_branches_it_ran(marks, call, lines, branches):
    hits, names = marks
    hits.clear()
    eval(call, names)
    assert {place[1] for place in hits if len(place) == 2} == lines
    assert {place[1:] for place in hits if len(place) == 3} == branches


def test_marks_leave_texts_where_they_are(marks):
    _, names = marks
    assert names["count"].__doc__ == "How many are true."
    assert names["__doc__"] == "Text."
