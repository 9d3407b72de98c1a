"""The house rules of size: short files, short functions."""

import ast
import collections
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parent.parent
MOST_LINES, MOST_LINES_OF_A_FUNCTION = 400, 40
NOT_OURS = "docs/demo/page/litert/"  # Google's, as it is published.
FILES = {
    name: path.read_text("utf-8")
    for folder in ("poph_tf", "tests", "tools", "docs")
    for path in sorted((ROOT / folder).rglob("*"))
    if path.suffix in (".py", ".js", ".css", ".sh")
    and not (name := path.relative_to(ROOT).as_posix()).startswith(NOT_OURS)
}
FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef


def code_lines(function, lines):
    """How many lines of a function are neither blank, a comment nor a docstring."""
    kept = set(range(function.lineno - 1, function.end_lineno))
    for node in ast.walk(function):
        if isinstance(node, FUNCTIONS | ast.ClassDef) and ast.get_docstring(node):
            kept -= set(range(node.body[0].lineno - 1, node.body[0].end_lineno))
    return sum(not re.match(r"\s*(#|$)", lines[k]) for k in kept)


def long_functions(name, text):
    """Names of the functions of a file that are too long, with their lines of code."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, FUNCTIONS):
            found = code_lines(node, text.splitlines())
            if found > MOST_LINES_OF_A_FUNCTION:
                yield f"{name}: {node.name}, {found} lines"


def test_code_lines_leave_out_blank_lines_comments_and_docstrings():
    text = 'def f(\n    x,\n):\n    """A.\n\n    B.\n    """\n\n    # why\n    x\n'
    assert code_lines(ast.parse(text).body[0], text.splitlines()) == 4


def test_test_files_have_names_of_their_own():
    """Pytest imports test files by name alone."""
    paths = (pathlib.Path(name) for name in FILES if name.startswith("tests/"))
    counts = collections.Counter(path.name for path in paths)
    assert [name for name, count in counts.items() if count > 1] == []


def test_files_are_short():
    assert not [k for k, text in FILES.items() if text.count("\n") > MOST_LINES]


def test_functions_are_short():
    python = (item for item in FILES.items() if item[0].endswith(".py"))
    assert not [each for item in python for each in long_functions(*item)]
