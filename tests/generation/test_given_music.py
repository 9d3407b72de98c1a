"""Messages about given music that a model cannot use as it is."""

import numpy as np
import pytest
import smf

from poph_tf import config
from poph_tf.config.tracks import CHOIR, Track
from poph_tf.data import matrices, reading
from poph_tf.data.matrices import Matrices
from poph_tf.errors import InputError, MusicFileError
from poph_tf.generation import arrangement, given_music

MODEL = config.preset("biaxial", min_pitch=48, num_pitches=24)


def told(tmp_path, *events, model=MODEL):
    path = tmp_path / "given.mid"
    path.write_bytes(smf.file(sorted(events, key=lambda event: event[0])))
    piece, changes = given_music.read(path, model.tracks)
    return [*changes, *given_music.left_out(piece, model)]


def note(tick, pitch, channel=0):
    return [smf.on(tick, pitch, channel=channel), smf.off(tick + 100, pitch, channel)]


def test_nothing_is_told_of_notes_on_the_grid_and_within_the_range(tmp_path):
    assert told(tmp_path, *note(0, 48), *note(480, 71)) == []


def test_triplets_are_told_with_their_share(tmp_path):
    triplet = [event for k in range(3) for event in note(160 * k, 60 + k)]
    assert told(tmp_path, *triplet, *note(480, 60)) == [
        "2 of 4 notes (50%) begin between two sixteenths (such as triplets): each is "
        "moved to the nearest."
    ]


def test_notes_outside_the_range_are_told_with_their_share(tmp_path):
    line = (
        "1 of 4 notes (25%) lie outside the model's pitches, 48 to 71: the model "
        "leaves them out."
    )
    events = [event for k in range(4) for event in note(480 * k, 69 + k)]
    assert told(tmp_path, *events) == [line]
    cells = np.zeros((8, 128, 3), np.uint8)
    for step, pitch in enumerate((50, 51, 52, 80)):
        cells[2 * step, pitch] = (1, 0, 64)
    piece = Matrices(cells, np.arange(8, dtype=np.uint8))
    assert given_music.read(piece) == (piece, ())
    assert given_music.left_out(piece, MODEL) == [line]
    # A model with tracks moves parts into their range and reports that itself.
    tracks = config.ModelConfig(tracks=(Track("lead"),))
    assert given_music.left_out(piece, tracks) == []


def test_music_without_notes_is_told(tmp_path):
    assert told(tmp_path, (0, 0xC0, 5)) == ["The given music has no notes."]


def test_drums_and_trills_that_become_one_note_are_told(tmp_path):
    trill = [*note(0, 60), smf.on(20, 60), smf.off(30, 60)]
    assert told(tmp_path, *trill, *note(480, 62), *note(0, 36, 9)) == [
        "1 of 4 notes (25%) are drums: they are left out.",
        "1 of 3 notes (33%) begin in one sixteenth with another of their pitch: they "
        "become one.",
    ]


VOICES = config.ModelConfig(tracks=(Track("melody"), Track("bridge")))


def test_parts_that_no_track_takes_are_told_and_unisons_are_not(tmp_path):
    parts = []
    for k, name in enumerate(["melody", "bridge", "guitar"]):
        title = (0, 0xFF, 3, len(name), *name.encode())
        parts.append([title, *note(0, 60, k), *note(480, 62, k)])
    path = tmp_path / "given.mid"
    path.write_bytes(smf.file(*parts))
    piece, changes = given_music.read(path, VOICES.tracks)
    assert [track.name for track in piece.tracks] == ["melody", "bridge"]
    assert changes == (
        "2 of 6 notes (33%) are in parts that no track of the model takes: they are "
        "left out.",
    )


def test_parts_become_one_where_a_model_has_no_tracks_and_it_says_so(tmp_path):
    parts = []
    for k, name in enumerate(["soprano", "alto"]):
        title = (0, 0xFF, 3, len(name), *name.encode())
        parts.append([title, *note(0, 60, k), *note(480, 62 + k, k)])
    path = tmp_path / "given.mid"
    path.write_bytes(smf.file(*parts))
    piece, changes = given_music.read(path)
    assert [track.name for track in piece.tracks] == ["soprano", "alto"]
    # A unison of two voices is two notes.
    assert changes == ()
    alone, told = given_music.as_one_part(piece)
    assert not alone.tracks
    assert told == [
        "2 parts (soprano, alto) become one, in which 1 of 4 notes (25%) sound with "
        "another: the model has no tracks."
    ]
    assert given_music.as_one_part(alone) == (alone, [])


def test_music_of_drums_only_cannot_be_harmonized(tmp_path):
    path = tmp_path / "given.mid"
    path.write_bytes(smf.file(note(0, 36, channel=9)))
    with pytest.raises(
        InputError, match=r"1 of 1 notes \(100%\) are drums.*must have notes"
    ):
        given_music.require_notes(*given_music.read(path))


@pytest.mark.parametrize("given", ["gone.mid", "given.txt"])
def test_files_that_cannot_be_read_are_refused(tmp_path, given):
    with pytest.raises(MusicFileError, match=given):
        given_music.read(tmp_path / given)


@pytest.mark.parametrize(
    "tune",
    [
        "K:F\nFGAF|c2A2|BAGA|F4|",
        "K:D\nFFGA|AGFE|DDEF|F3EE2|D8|",
        "K:C\nC,D,E,F,|G,A,B,C|",
    ],
)
def test_a_tune_from_a_file_stays_whole_in_the_track_that_it_is_given_to(
    tmp_path, tune
):
    path = tmp_path / "tune.abc"
    path.write_text(f"X:1\nL:1/4\nM:4/4\n{tune}\n")
    model = config.preset("poph3", tracks=CHOIR)
    piece, changes = given_music.read(path, model.tracks)
    found = arrangement.arrange(piece, model, (), "soprano")
    assert changes == found.changes == ()
    assert found.present.tolist() == [True, False, False, False]
    np.testing.assert_array_equal(
        found.cells[:, 0], matrices.from_notes(reading.read_notes(path)).cells
    )


def test_a_note_sequence_is_music_and_what_is_none_is_named(tmp_path):
    path = tmp_path / "given.mid"
    path.write_bytes(smf.file([*note(0, 60), *note(480, 62)]))
    cells = [
        given_music.read(music)[0].cells
        for music in (path, reading.read(path), reading.read_notes(path))
    ]
    np.testing.assert_array_equal(cells[0], cells[1])
    np.testing.assert_array_equal(cells[0], cells[2])
    with pytest.raises(InputError, match="Notes or NoteSequence, got bytes"):
        given_music.read(path.read_bytes())
