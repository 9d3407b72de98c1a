"""What a notebook shows during long work, and what remains afterwards."""

import io
import sys
import types

from poph_tf.cli import progress


class Handle:
    def __init__(self):
        self.shown = []

    def update(self, what):
        self.shown.append((repr(what), what._repr_html_()))


def notebook(monkeypatch, handle, **shell):
    ipython = types.ModuleType("IPython")
    ipython.get_ipython = lambda: types.SimpleNamespace(**shell)
    display = types.ModuleType("IPython.display")
    display.display = lambda _, display_id: handle
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", display)


def test_a_notebook_shows_a_bar_that_goes_away(monkeypatch):
    handle = Handle()
    notebook(monkeypatch, handle, kernel="there is one")
    with progress.in_notebook(128, "steps") as shown:
        shown.update(64, "a < b")
    (text, bar), (_, after) = handle.shown
    assert text.startswith("64/128 steps  a < b")
    assert bar.startswith('<progress value="64" max="128"></progress> 64/128 steps')
    assert "a &lt; b" in bar and after == ""


def test_a_console_shows_nothing_of_calls_from_python(monkeypatch, capsys):
    notebook(monkeypatch, Handle())
    with progress.in_notebook(128, "steps") as shown:
        shown.update(64)
    assert shown.shown is None and capsys.readouterr() == ("", "")


def test_a_rate_that_rounds_to_nothing_is_not_shown():
    shown = progress.Progress(1, "files", stream=None)
    shown.update(0)
    line = shown.line(0.6, "500 pieces", shown.since + 120)
    assert line == "0/1 files  500 pieces  80 s left"


def test_a_file_gets_a_line_now_and_then(monkeypatch):
    file = io.StringIO()
    with progress.Progress(9, "files", stream=file) as shown:
        shown.update(0, "read")
        assert file.getvalue() == ""
        monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0)
        shown.update(3, "read")
        shown.print("b.mid: damaged")
    first, second = file.getvalue().splitlines()
    assert first.startswith("3/9 files  read  ") and first.endswith(" left")
    assert second == "b.mid: damaged"


def test_a_terminal_gets_a_bar_and_lines_that_stay():
    file = io.StringIO()
    file.isatty = lambda: True
    with progress.Progress(9, "files", stream=file) as shown:
        shown.update(3, "read")
        task = shown.live.tasks[0]
        assert (task.completed, task.total) == (3, 9)
        assert task.description.startswith("3/9 files  read")
        shown.print("[b]: damaged")
    assert shown.live is None and "[b]: damaged" in file.getvalue()
