"""Tests of comparing found beats with annotated ones."""

import numpy as np
import pytest
import smf

from poph_tf.evaluation import beats


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([1.0, 2.0, 3.0, 4.0], 1.0),
        ([1.06, 1.95, 3.08, 4.0], 0.75),  # 80 ms is too far
        ([2.0, 4.0], 2 / 3),  # every other beat: all correct, half found
        ([1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5], 2 / 3),
        ([0.98, 1.02], 1 / 3),  # a beat matches only once
        ([], 0.0),
    ],
)
def test_f_measure_by_hand(found, expected):
    reference = np.array([1.0, 2.0, 3.0, 4.0])
    assert beats.f_measure(reference, np.array(found)) == pytest.approx(expected)


def test_performances_are_read_with_their_annotations(tmp_path):
    folder = tmp_path / "Bach" / "Fugue"
    folder.mkdir(parents=True)
    events = [smf.on(0, 60), smf.off(480 * 6, 60)]
    (folder / "Lee01.mid").write_bytes(smf.file(events))
    (folder / "midi_score.mid").write_bytes(smf.file(events))
    table = "0.5\t0.5\tdb,3/4,-1\n1.0\t1.0\tb\n1.5\t1.5\tb\n2.1\t2.1\tdb\n"
    (folder / "Lee01_annotations.txt").write_text(table)
    (piece,) = beats.read_performances(tmp_path)
    assert (piece.name, piece.composition) == ("Bach/Fugue/Lee01", "Bach/Fugue")
    assert piece.beats.beats.tolist() == [0.5, 1.0, 1.5, 2.1]
    assert piece.beats.downbeats.tolist() == [0.5, 2.1]
    own = beats.beats_of_file(piece.notes)
    assert own.beats.tolist() == [0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0]
    assert own.downbeats.tolist() == [0, 2.0]
    assert beats.folds([piece], 4) == {"Bach/Fugue": 0}
