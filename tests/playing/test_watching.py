"""Files dropped into a folder are answered once, when they are complete."""

import os

import pytest
import small

from poph_tf.data import matrices, midi
from poph_tf.errors import InputError, MusicFileError
from poph_tf.generation.composer import Composer
from poph_tf.models import pretrained
from poph_tf.playing import watching


def copy(path, output):
    output.write_bytes(path.read_bytes())


def test_a_file_is_answered_once_and_an_answer_is_not_answered(tmp_path, capsys):
    watch = watching.Watch(tmp_path, "harmonize")
    (tmp_path / "tune.mid").write_bytes(b"whole")
    for name in ("readme.txt", "._tune.mid", "old.vary.mid", "empty.mid"):
        (tmp_path / name).write_bytes(b"" if name == "empty.mid" else b"x")
    (tmp_path / "folder.mid").mkdir()
    for _ in range(4):
        watching.answer_ready(watch, copy)
    output = tmp_path / "tune.harmonize.mid"
    assert output.read_bytes() == b"whole"
    assert capsys.readouterr().out.split() == [str(output)]
    # The next process does not answer it again.
    again = watching.Watch(tmp_path, "harmonize")
    assert [list(again.ready()) for _ in range(3)] == [[], [], []]


def test_a_file_that_grows_is_waited_for(tmp_path):
    watch = watching.Watch(tmp_path, "continue")
    file = tmp_path / "tune.mid"
    for content in (b"", b"", b"h", b"half"):
        file.write_bytes(content)
        assert list(watch.ready()) == []
    assert list(watch.ready()) == [file]
    assert list(watch.ready()) == []


def test_a_bad_file_is_told_in_one_line_and_tried_again_when_it_changes(
    tmp_path, capsys
):
    def fail_on_bad(path, output):
        if path.read_bytes() == b"bad":
            raise MusicFileError(path, "it is\nno music")
        copy(path, output)

    watch = watching.Watch(tmp_path, "harmonize")
    for name, content in (("a.mid", b"bad"), ("b.musicxml", b"good")):
        (tmp_path / name).write_bytes(content)
    for _ in range(3):
        watching.answer_ready(watch, fail_on_bad)
    told = capsys.readouterr()
    assert told.err == "a.mid: it is\\nno music\n"
    assert told.out.split() == [str(tmp_path / "b.harmonize.mid")]
    (tmp_path / "a.mid").write_bytes(b"good now")
    for _ in range(2):
        watching.answer_ready(watch, fail_on_bad)
    assert capsys.readouterr().out.split() == [str(tmp_path / "a.harmonize.mid")]


def test_a_tune_comes_back_with_its_melody_kept(tmp_path, monkeypatch, capsys):
    melody = small.random_piece(3, 16, low=60, high=72)
    melody.cells[...] = 0
    melody.cells[:8, 67], melody.cells[8:, 69] = (1, 0, 80), (1, 0, 80)
    (tmp_path / "tune.mid").write_bytes(midi.to_bytes(matrices.to_sequence(melody)))
    (tmp_path / "bad.mid").write_bytes(b"MThd, but no more")
    looks = iter([None, None, InterruptedError])

    def look_again(_):
        if stop := next(looks):
            raise stop

    monkeypatch.setattr(watching.time, "sleep", look_again)
    composer = Composer(pretrained.path_of("chorales"))
    with pytest.raises(InterruptedError):
        watching.run(tmp_path, composer, {"task": "harmonize", "seed": 1})
    answer = matrices.from_file(tmp_path / "tune.harmonize.mid")
    soprano, *others = [t.cells[..., 0] for t in answer.tracks]
    assert soprano[:8, 67].all() and soprano[8:16, 69].all()
    assert len(others) == 3 and all(voice.any() for voice in others)
    assert capsys.readouterr().err.count("bad.mid: ") == 1
    assert sorted(os.listdir(tmp_path)) == ["bad.mid", "tune.harmonize.mid", "tune.mid"]


def test_wrong_settings_are_told_before_the_first_file(tmp_path):
    with pytest.raises(InputError, match="temperature must be"):
        watching.run(tmp_path, None, {"task": "harmonize", "temperature": -1.0})
    with pytest.raises(InputError, match="is gone"):
        watching.run(tmp_path / "none", None, {"task": "harmonize"})
