"""What child processes of tests report while coverage is measured."""

import contextlib
import importlib.util
import json
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


def module():
    """The module as a process that is not a child imports it."""
    spec = importlib.util.spec_from_file_location("marks", PATH)
    marks = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(marks)
    return marks


@pytest.fixture(scope="module")
def marks(tmp_path_factory):
    """The lines that have run, and the names of SOURCE, compiled with marks."""
    marks = module()
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


def test_what_a_killed_child_was_writing_is_not_read(tmp_path, monkeypatch):
    child = module()
    monkeypatch.setattr(child, "FOLDER", tmp_path)

    def killed(draft, text):
        draft.write_bytes(text[: len(text) // 2].encode())
        raise SystemExit

    for line, write_text in enumerate([killed, pathlib.Path.write_text]):
        child.hits.add(("source.py", line))
        with monkeypatch.context() as patched, contextlib.suppress(SystemExit):
            patched.setattr(pathlib.Path, "write_text", write_text)
            child.tell()
    (told,) = tmp_path.glob("child-*.json")
    assert sorted(json.loads(told.read_text())) == [["source.py", 0], ["source.py", 1]]
