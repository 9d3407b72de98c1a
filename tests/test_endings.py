"""How commands end: exit codes, signals, broken pipes, undecodable names."""

import io
import math
import os
import signal

import pytest

from poph_tf import files
from poph_tf.cli import commands, signals
from poph_tf.errors import InputError, Interrupted, TrainingFailed, one_line


@pytest.fixture
def ended(monkeypatch, capsys):
    """Runs a main function as a command does; returns (exit code, stderr)."""

    def run(main):
        flag = type("Flag", (), {"present": True})
        monkeypatch.setattr(commands, "flags", FakeFlags(flag))
        try:
            code = commands._guarded(main, [], False)
        except SystemExit as end:
            code = end.code
        return code, capsys.readouterr().err

    return run


class FakeFlags:
    class Error(Exception):
        pass

    def __init__(self, flag):
        self.FLAGS = type("Flags", (dict,), {"version": False})(verbosity=flag)


def raising(error):
    def main(words):
        raise error

    return main


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (InputError("No file a\nb.mid."), 2, r"error: No file a\nb.mid."),
        (InputError("No \x1b[31m\u202ename."), 2, r"error: No \x1b[31m\u202ename."),
        (TrainingFailed("It exploded."), 1, "error: It exploded."),
        (OSError(5, "Input/output error", "a"), 2, "error: Input/output error: a."),
        (Interrupted("Saved."), 75, "Saved. Start the same command again to continue."),
    ],
)
def test_each_error_has_its_code_and_one_line(ended, error, code, line):
    assert ended(raising(error)) == (code, line + "\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_both_signals_end_a_command_alike_before_its_work(ended, number):
    before = [signal.getsignal(n) for n in signals.STOPPING]
    code, line = ended(lambda words: signal.raise_signal(number))
    assert code == 75
    assert line.startswith(f"Stopped by {number.name}; nothing is left half-written.")
    assert [signal.getsignal(n) for n in signals.STOPPING] == before


def test_work_that_saves_first_notes_the_signal():
    with signals.stoppable(), signals.StopSignals() as stop:
        assert stop.received is None
        signal.raise_signal(signal.SIGTERM)
        assert stop.received is signal.SIGTERM
        with pytest.raises(KeyboardInterrupt, match="SIGINT"):
            signal.raise_signal(signal.SIGINT)


def test_a_wait_inside_a_library_can_be_killed():
    with signals.stoppable():
        with signals.killable():
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        assert signal.getsignal(signal.SIGTERM) is signals._raise


def test_a_broken_pipe_is_quiet(ended, monkeypatch):
    reader, writer = os.pipe()
    os.close(reader)
    kept = os.dup(1)
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(os.fdopen(writer, "wb")))
    try:
        assert ended(lambda words: print("text")) == (141, "")
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def test_plain_text_stays_as_it_is():
    assert one_line("Für Elise – «1».") == "Für Elise – «1»."


def test_json_has_no_number_that_json_cannot_say(tmp_path):
    value = {"b": (math.inf, 1.0), "a": {"c": math.nan}}
    text = files.to_json(value, indent=None, sort_keys=True)
    assert text == '{"a": {"c": null}, "b": [null, 1.0]}'
    files.write_json(tmp_path / "x.json", value)
    assert "NaN" not in (tmp_path / "x.json").read_text()


def test_outputs_are_checked_before_the_work(tmp_path):
    assert files.ready_folder(tmp_path / "new" / "out").is_dir()
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"file must be a folder .File exists"):
        files.ready_folder(tmp_path / "file")
    with pytest.raises(InputError, match="it is a folder"):
        files.ready_output(tmp_path / "new")
    with pytest.raises(InputError, match=r"file must be a folder"):
        files.ready_output(tmp_path / "file" / "page.html")
