"""Notebooks are run and stored: the manual's quickest, and a faulty one."""

import os
import subprocess
import sys

import nbformat
from nbformat import v4
from test_manual import ROOT

TOOL = ROOT / "tools" / "run_notebooks.py"


def run(*arguments):
    return subprocess.run(
        [sys.executable, TOOL, *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=600,
    )


def test_the_first_tutorial_runs_as_it_stands():
    path = ROOT / "docs" / "tutorials" / "compose-and-listen.ipynb"
    before = path.read_bytes()
    done = run(f"--notebooks={path}")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("compose-and-listen.ipynb: ")
    assert path.read_bytes() == before


def test_what_is_written_does_not_change_from_run_to_run(tmp_path):
    lines = "import sys\nprint(1)\nprint(2, file=sys.stderr)\nprint(3, flush=True)\n4"
    path = tmp_path / "a.ipynb"
    nbformat.write(v4.new_notebook(cells=[v4.new_code_cell(lines)]), path)
    assert run("--write", f"--notebooks={path}").returncode == 0
    (cell,) = nbformat.read(path, as_version=4).cells
    printed, value = cell.outputs
    assert (printed.text, value.data) == ("1\n3\n", {"text/plain": "4"})
    assert cell.execution_count is None is value.execution_count


def test_an_error_in_a_cell_ends_the_run(tmp_path):
    path = tmp_path / "a.ipynb"
    nbformat.write(v4.new_notebook(cells=[v4.new_code_cell("1 / 0")]), path)
    done = run("--write", f"--notebooks={path}")
    assert done.returncode != 0 and "ZeroDivisionError" in done.stderr
    assert not nbformat.read(path, as_version=4).cells[0].outputs
