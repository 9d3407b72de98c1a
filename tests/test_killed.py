"""SIGKILL while files are written: each is whole or absent; a new run repairs it."""

import itertools
import os
import signal

import small
from systems import needs_posix

from poph_tf import config, files
from poph_tf.generation import publishing
from poph_tf.models import pretrained
from poph_tf.rendering import saving
from poph_tf.serving import saved_model, versions

pytestmark = needs_posix


def is_killed(work, at):
    """Whether a fork dies of SIGKILL just before its file number `at` appears."""
    child = os.fork()
    if child == 0:
        count = itertools.count(1)

        def die(descriptor):
            if next(count) == at:
                os.kill(os.getpid(), signal.SIGKILL)

        os.fsync = die
        try:
            work()
        finally:
            os._exit(0)
    return os.waitpid(child, 0)[1] == signal.SIGKILL


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.glob("[!.]*")}


def kill_at_each_file(work, folder):
    """The files in a folder after a kill at each file of the work in turn."""
    found = []
    while is_killed(work, len(found) + 1):
        found.append(contents(folder))
    return found


def test_pieces_are_whole_or_absent(tmp_path):
    pieces = [small.random_piece(seed, 32) for seed in (1, 2)]
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()

    def save(name):
        options = {"png": False, "wav": False}
        saving.save_all(pieces, tmp_path / name, config.preset("biaxial"), **options)

    save("whole")
    whole = contents(tmp_path / "whole")
    found = kill_at_each_file(lambda: save("killed"), tmp_path / "killed")
    assert [sorted(files) for files in found] == [
        [], ["piece-1.mid"], ["piece-1.mid", "piece-2.mid"]
    ]  # fmt: skip
    assert all(files.items() <= whole.items() for files in found)
    # The last fork ran to its end.
    assert contents(tmp_path / "killed") == whole
    assert len(list((tmp_path / "killed").iterdir())) == len(whole)  # no leftovers


def test_a_model_is_never_a_mixture_of_two(tmp_path):
    def save(name):
        publishing.save(pretrained.resolve(name), config.preset("poph2"), tmp_path)

    save("scores")
    found = kill_at_each_file(lambda: save("pop909"), tmp_path)
    whole = contents(tmp_path)
    # model.keras, config.json, step.tflite, card.md, card.json
    assert [len(there) for there in found] == [0, 1, 2, 3, 4]
    assert all(there.items() <= whole.items() for there in found)


def test_a_version_is_there_when_it_is_complete(tmp_path, monkeypatch):
    def fill(directory, *_):
        for name in ("saved_model.pb", "variables"):
            files.write(directory / name, b"x")

    monkeypatch.setattr(saved_model, "_fill", fill)
    for at in (1, 2):
        assert is_killed(lambda: saved_model.export(None, tmp_path / "m"), at)
        assert versions.numbers(tmp_path / "m") == []
    assert saved_model.export(None, tmp_path / "m").name == "1"
