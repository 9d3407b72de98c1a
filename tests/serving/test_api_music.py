"""Music as JSON: to notes, to the grid and back."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poph_tf.data import matrices
from poph_tf.errors import InputError
from poph_tf.serving.api import scores
from poph_tf.serving.api.scores import Note, Score

TWO_TRACKS = {
    "tracks": [
        {"name": "soprano", "program": 52, "is_drum": False},
        {"name": "bass", "program": 32, "is_drum": False},
    ],
    "notes": [
        {"track": 0, "pitch": 72, "start": 0, "duration": 4, "velocity": 80},
        {"track": 0, "pitch": 72, "start": 4, "duration": 2, "velocity": 90},
        {"track": 1, "pitch": 48, "start": 2, "duration": 8, "velocity": 70},
    ],
    "num_steps": 12,
    "steps_per_quarter": 4,
    "metre": "3/4",
    "metre_changes": [],
    "tempo": 96.0,
    "pickup": 0,
    "title": "Morning hymn",
    "composer": "A. Singer",
    "arranger": "Harmonized by poph_tf",
}


def piece_of(score):
    return matrices.from_notes(scores.to_notes(Score.model_validate(score)))


def test_a_score_becomes_cells_worked_by_hand():
    piece = piece_of(TWO_TRACKS)
    assert len(piece) == 12
    soprano, bass = piece.tracks
    assert np.flatnonzero(soprano.cells[:, 72, 0]).tolist() == [0, 1, 2, 3, 4, 5]
    assert np.flatnonzero(soprano.cells[:, 72, 1]).tolist() == [4]
    assert soprano.cells[4:6, 72, 2].tolist() == [90, 90]
    assert np.flatnonzero(bass.cells[:, 48, 0]).tolist() == list(range(2, 10))
    assert (bass.name, bass.program) == ("bass", 32)
    assert piece.bar_position.tolist() == list(range(12))
    assert piece.tempo_qpm == 96.0


def test_a_pickup_counts_back_from_the_bar_line_it_leads_to():
    piece = piece_of(TWO_TRACKS | {"pickup": 4, "num_steps": 16})
    assert piece.bar_position.tolist() == [8, 9, 10, 11, *range(12)]


def test_time_signatures_change_where_they_are_said_to():
    changes = [{"step": 12, "metre": "2/4"}]
    piece = piece_of(TWO_TRACKS | {"metre_changes": changes, "num_steps": 28})
    assert np.flatnonzero(piece.bar_position == 0).tolist() == [0, 12, 20]


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"pickup": 4, "num_steps": 28},
        {"pickup": 2, "metre_changes": [{"step": 14, "metre": "4/4"}], "num_steps": 40},
        {"tracks": [{"name": "", "program": 0, "is_drum": False}], "notes": []},
    ],
)
def test_a_score_comes_back_as_it_was(changed):
    score = TWO_TRACKS | changed
    found = scores.of_matrices(piece_of(score))
    if not score["notes"]:
        score = score | {"tracks": found["tracks"]}
    assert found == score


def test_the_seed_of_a_composed_piece_is_taken_and_changes_nothing():
    piece = piece_of(TWO_TRACKS | {"seed": 7})
    np.testing.assert_array_equal(piece.cells, piece_of(TWO_TRACKS).cells)
    assert scores.of_matrices(piece) == TWO_TRACKS


def test_a_long_title_is_cut_so_that_it_can_be_sent_back():
    piece = dataclasses.replace(piece_of(TWO_TRACKS), title="a" * 1000)
    assert piece_of(scores.of_matrices(piece)).title == "a" * scores.MAX_NAME


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.builds(
            Note,
            track=st.integers(0, 2),
            pitch=st.integers(0, 127),
            start=st.integers(0, 60),
            duration=st.integers(1, 20),
            velocity=st.integers(1, 127),
        ),
        max_size=20,
    )
)
def test_what_comes_back_stays_as_it_is(notes):
    tracks = [scores.ScoreTrack(name=name) for name in "abc"]
    once = scores.of_matrices(
        matrices.from_notes(scores.to_notes(Score(tracks=tracks, notes=notes)))
    )
    assert scores.of_matrices(piece_of(once)) == once


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"notes": [TWO_TRACKS["notes"][2] | {"track": 2}]}, "must be below 2"),
        ({"metre": "3/7"}, "metre must be a time signature"),
        ({"pickup": 12}, "pickup must be less than a bar of 12 steps, got 12"),
        (
            {"notes": [TWO_TRACKS["notes"][0] | {"start": 8000, "duration": 300}]},
            "Notes must end by step 8192, got 8300",
        ),
    ],
)
def test_a_contradiction_is_told_in_one_sentence(changed, message):
    with pytest.raises(InputError, match=message):
        piece_of(TWO_TRACKS | changed)
