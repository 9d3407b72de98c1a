"""The registry of readers: one entry adds a format; each file is read once."""

import pathlib

import numpy as np
import pytest
import smf
from collections_of_songs import song

from poph_tf.data import matrices, midi, midi_bytes, reading, scores
from poph_tf.data import notes as notes_lib
from poph_tf.errors import MusicFileError

ABC = "X:1\nM:4/4\nL:1/4\nK:C\nCDEF|\n"


def read_onsets(data, name, options):
    """Reads a format made for this test: pitches of quarter notes as text numbers."""
    pitches = np.array(data.split(), np.uint8)
    ticks = np.arange(len(pitches), dtype=np.int64)
    empty = np.zeros((0, 3), np.int64)
    return {
        "": notes_lib.Notes(
            start_tick=ticks,
            end_tick=ticks + 1,
            pitch=pitches,
            velocity=np.full(len(pitches), 80, np.uint8),
            program=np.zeros(len(pitches), np.uint8),
            instrument=np.zeros(len(pitches), np.int64),
            is_drum=np.zeros(len(pitches), bool),
            ticks_per_quarter=1,
            tempo_ticks=np.zeros(0, np.int64),
            tempo_qpms=np.zeros(0),
            time_signatures=empty,
            pedals=empty,
            bar_marks=empty[:, :2],
        )
    }


def test_a_format_is_added_by_one_entry(monkeypatch, tmp_path):
    monkeypatch.setitem(reading.READERS, ".onsets", read_onsets)
    (tmp_path / "a.onsets").write_text("60 64 67")
    piece = matrices.from_file(tmp_path / "a.onsets")
    assert np.argwhere(piece.play[::4]).tolist() == [[0, 60], [1, 64], [2, 67]]


@pytest.mark.parametrize("name", ["a.mid", "a.abc"])
def test_a_file_becomes_matrices_by_one_reading_and_one_parse(
    name, monkeypatch, tmp_path
):
    path = tmp_path / name
    path.write_bytes(song(0) if name == "a.mid" else ABC.encode())
    counts = {"read": 0, "parse": 0}
    read_bytes, reader = pathlib.Path.read_bytes, reading.READERS[path.suffix]

    def counted_read(path):
        counts["read"] += 1
        return read_bytes(path)

    def counted_parse(*arguments):
        counts["parse"] += 1
        return reader(*arguments)

    monkeypatch.setattr(pathlib.Path, "read_bytes", counted_read)
    monkeypatch.setitem(reading.READERS, path.suffix, counted_parse)
    assert len(matrices.from_file(path)) > 0
    assert counts == {"read": 1, "parse": 1}


def test_matrices_of_a_midi_file_equal_those_of_its_note_sequence(tmp_path):
    path = tmp_path / "a.mid"
    for seed in range(5):
        path.write_bytes(song(seed, offset=11 * seed))
        assert matrices.from_file(path) == matrices.from_sequence(midi.read(path))


def test_scores_and_midi_read_the_same_files(tmp_path):
    path = tmp_path / "a.abc"
    path.write_text(ABC)
    assert scores.read(path) == midi.read(path)
    assert list(scores.read_all(path)) == list(midi.read_all(path)) == [midi.read(path)]


def test_the_suffix_counts_whatever_its_case():
    data = smf.file([smf.on(0, 60), smf.off(480, 60)])
    found = reading.to_notes(reading.parse(data, "A.MID")[""])
    assert found.start_tick.tolist() == midi_bytes.parse(data).start_tick.tolist()


def test_the_error_of_a_tune_is_raised_when_its_notes_are_needed():
    book = f"{ABC}\nX:2\nL:1/4\nK:C\nz4|\n"
    first, second = reading.parse(book.encode(), "a.abc").values()
    assert len(reading.to_notes(first)) == 4
    with pytest.raises(MusicFileError, match=r"a\.abc: has no notes"):
        reading.to_notes(second)


def test_the_bytes_of_a_written_file_are_those_of_to_bytes(tmp_path):
    path = tmp_path / "a.mid"
    path.write_bytes(song(3))
    sequence = midi.read(path)
    midi.write(sequence, path)
    assert path.read_bytes() == midi.to_bytes(sequence)
