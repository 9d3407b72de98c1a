"""Books of tunes in ABC notation."""

import numpy as np
import pytest

from poph_tf.data import abc, matrices, midi, scores
from poph_tf.data import score as score_lib
from poph_tf.errors import MusicFileError

TUNES = "X:1\nT:One\nM:4/4\nL:1/4\nK:C\nCDEF|\n\nX:2\nT:Two\nM:3/4\nL:1/4\nK:G\nGAB|\n"


def test_an_abc_file_with_several_tunes_is_read_by_read_all_only(tmp_path):
    path = tmp_path / "tunes.abc"
    path.write_text(TUNES)
    with pytest.raises(MusicFileError, match="holds 2"):
        midi.read(path)
    first, second = (matrices.from_sequence(s) for s in midi.read_all(path))
    assert np.flatnonzero(first.play.sum(1)).tolist() == list(range(16))
    assert second.time_signatures == ((0, 3, 4),)
    path.write_text(TUNES.split("\n\n")[0])
    assert len(midi.read(path).notes) == 4
    path.write_bytes(b"\0\xff")
    with pytest.raises(MusicFileError, match="UTF-8"):
        midi.read(path)


def test_read_refuses_a_file_with_an_unreadable_tune(tmp_path):
    good = "X:1\nT:one\nM:4/4\nL:1/4\nK:C\nCDEF|\n"
    bad = "X:2\nT:two\nM:4/4\nL:1/4\nK:C\nz4|\n"
    path = tmp_path / "two.abc"
    path.write_text(f"{good}\n{bad}")
    with pytest.raises(MusicFileError, match="must hold one tune, holds 2"):
        midi.read(path)
    failures = []
    assert len(list(midi.read_all(path, failures))) == 1
    assert len(failures) == 1


TUNE = "X:{}\nM:4/4\nL:1/8\nK:C\nCDEF GABc|\n"
SCALE = [60, 62, 64, 65, 67, 69, 71, 72]


def read_book(text):
    """Returns, for each tune of a book, its pitches or why it cannot be read."""
    return {
        label: tune.reason
        if isinstance(tune, MusicFileError)
        else [note.pitch for note in tune.notes]
        for label, tune in abc.Tunes(text.encode(), "book.abc").items()
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # Text around the tunes is not music; its fields apply to all tunes.
        ("A bad face, a cafe\n\n" + TUNE.format(1), {"1": SCALE}),
        ("%abc-2.1\nCollected by A\nO:here\n\n" + TUNE.format(1), {"1": SCALE}),
        (TUNE.format(1) + "\nEnd of file.\n", {"1": SCALE}),
        (TUNE.format(1) + "\nGag\n\n" + TUNE.format(2), {"1": SCALE, "2": SCALE}),
        # No blank line between the tunes.
        (TUNE.format(1) + TUNE.format(2), {"1": SCALE, "2": SCALE}),
        ("L:1/4\n\nX:4\nK:G\nFG\n", {"4": [66, 67]}),
        (
            TUNE.format(1) + "\nM:4/4\nK:C\nC\n",
            {"1": SCALE, "@2": "not ABC that can be read (no number, X:)"},
        ),
    ],
)
def test_text_around_the_tunes_of_a_book_is_ignored(text, expected):
    assert read_book(text) == expected


def test_a_score_is_read_by_its_suffix_and_must_be_one(tmp_path):
    one = TUNES.split("\n\n")[0].encode()
    (score,) = scores.parse(one, "one.ABC")
    assert len(score.measures) == 1
    with pytest.raises(MusicFileError, match=r"its suffix must be one of .*\.abc"):
        list(scores.parse(one, "one.txt"))
    path = tmp_path / "two.abc"
    with pytest.raises(MusicFileError, match="No such file"):
        scores.parse_one(path)
    path.write_text(TUNES)
    with pytest.raises(MusicFileError, match="must hold one tune, holds 2"):
        scores.parse_one(path)


def test_a_score_has_a_largest_number_of_measures(monkeypatch):
    monkeypatch.setattr(score_lib, "MAX_MEASURES", 3)
    score = score_lib.Score()
    score.measure(2)
    with pytest.raises(MusicFileError, match="has more than 3 measures"):
        score.measure(3)
    score.measures[0].begins_repeat = True
    score.measures[2].times = 2
    with pytest.raises(MusicFileError, match="its repeats go on and on"):
        score_lib.unfold(score)
