"""The chain of chords: its tables, and both directions in time, by hand."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from poph_tf import config, models
from poph_tf.errors import InputError
from poph_tf.models.layers import chord_progression
from poph_tf.models.layers.chord_progression import NUM_DEGREES, OTHER
from poph_tf.theory import key_number

C_MAJOR, A_MINOR = key_number("C major"), key_number("A minor")


@pytest.fixture
def chain():
    """A layer with two places and tables of distinct probabilities."""
    layer = chord_progression.ChordProgression(2)
    layer.build()
    rng = np.random.default_rng(0)
    for table in (layer.transitions, layer.notes):
        shares = rng.dirichlet(np.ones(table.shape[-1]), table.shape[:-1])
        table.assign(np.log(shares))
    return layer


def test_degrees_count_from_the_tonic_and_chords_from_c():
    degrees = tf.constant([0, 7, 12 + 9, 24 + 11, OTHER])
    keys = tf.constant([2, 2, 2, 12 + 9, 2])
    chords = chord_progression.chord_of(degrees, keys)
    assert chords.numpy().tolist() == [2, 9, 12 + 11, 24 + 8, -1]
    np.testing.assert_array_equal(chord_progression.degree_of(chords, keys), degrees)
    assert chord_progression.chord_of(degrees, tf.constant(-1)).numpy().max() == -1


def test_what_follows_is_the_row_of_mode_place_and_the_degree_before(chain):
    before, keys = tf.constant([0, 1, 5]), tf.constant([C_MAJOR, A_MINOR, 3])
    found = chain.following(before, keys, tf.constant([1, 0, 1]))
    tables = chain.transitions.numpy()
    np.testing.assert_array_equal(found, [tables[1, 0], tables[2, 1], tables[1, 5]])
    np.testing.assert_allclose(np.exp(found).sum(axis=1), 1, rtol=1e-5)


def test_what_precedes_is_the_sum_over_all_ways_to_what_is_given(chain):
    keys, places = tf.constant([C_MAJOR]), (1, 0)
    given = np.random.default_rng(1).normal(size=(2, NUM_DEGREES))
    after = tf.constant(given[1:], tf.float32)
    for beat in (1, 0):
        after = chain.preceding(after, keys, tf.constant([places[beat]]))
        after += tf.constant(given[:1], tf.float32) * (beat == 1)
    tables = np.exp(chain.transitions.numpy())
    first, second = tables[places[0], 1:], tables[places[1], 1:]
    ways = np.zeros(NUM_DEGREES)
    for before, one in itertools.product(range(NUM_DEGREES), repeat=2):
        later = (second[one] * np.exp(given[1])).sum()
        ways[before] += first[before, one] * np.exp(given[0, one]) * later
    found = np.exp(after[0]) / np.exp(after[0]).sum()
    np.testing.assert_allclose(found, ways / ways.sum(), rtol=1e-4)


def test_given_notes_speak_for_the_chords_that_they_belong_to(chain):
    low = 50
    play = np.zeros((2, 3, 30), np.float32)
    play[0, 0, 67 - low] = play[0, 2, 52 - low] = 1  # G and E
    keys = tf.constant([key_number("G major"), C_MAJOR])
    found = chain.heard(tf.constant(play), keys, low).numpy()
    notes = chain.notes.numpy()
    half = chord_progression.HEARD
    # In G: degree 5 is C major, where G is 7 and E is 4 semitones above the root.
    assert found[0, 5] == pytest.approx(half * (notes[0, 7] + notes[0, 4]), rel=1e-5)
    # Degree 12 + 9 is E minor.
    assert found[0, 21] == pytest.approx(half * (notes[1, 3] + notes[1, 0]), rel=1e-5)
    # A chord that is no triad has no root: classes count from the tonic.
    expected = half * (notes[3, 0] + notes[3, 9])
    assert found[0, OTHER] == pytest.approx(expected, rel=1e-5)
    assert not found[1].any()


def test_the_tables_are_kept_with_the_weights_and_are_not_trained(tmp_path):
    tracks = (config.Track("melody", voice=True), config.Track("bass", voice=True))
    sizes = {"num_time_units": 4, "num_track_units": 4, "num_pitches": 12}
    made = models.build(
        config.preset("poph3", tracks=tracks, key=True, chords=True, **sizes)
    )
    tables = [table for layer in made.counted for table in layer.weights]
    assert len(tables) == 4
    rng = np.random.default_rng(0)
    for table in tables:
        table.assign(rng.normal(size=table.shape))
    trained = [variable.path for variable in made.trainable_variables]
    assert not any(table.path in trained for table in tables)
    models.save(made, tmp_path)
    network = models.load(tmp_path).network
    loaded = [*network.chord_progression.weights, *network.voice_ranges.weights]
    for table, again in zip(tables, loaded, strict=True):
        np.testing.assert_array_equal(table, again)


@pytest.mark.parametrize(
    "settings",
    [{}, {"tracks": (config.Track("piano"),), "key": True}, {"key": False}],
)
def test_chords_need_tracks_a_key_and_a_voice(settings):
    voice = {"tracks": (config.Track("melody", voice=True),)}
    made = config.preset("poph3", chords=True, **(voice | settings))
    with pytest.raises(InputError, match="one of them a voice"):
        models.build(made)


def test_a_bias_of_pitches_is_one_of_their_chords(chain):
    low = 55
    bias = np.zeros((2, 24), np.float32)
    bias[0, [61 - low, 73 - low]] = -1.5  # C#, wherever it is
    bias[0, 62 - low] = -7.0  # one D of two
    keys = tf.constant([key_number("D major"), C_MAJOR])
    found = chain.allowed(tf.constant(bias), keys, low).numpy()
    assert not found[1].any()
    by_chord = dict(enumerate(found[0]))
    # Degrees of D: A major (7) has C#, D major (0) and G major (5) do not.
    assert by_chord[7] == pytest.approx(-15) and not by_chord[0] and not by_chord[5]
    assert by_chord[OTHER] == pytest.approx(-10 * 3 * 1.5 / 12)


def test_a_run_is_found_where_it_was_heard_last_in_the_same_beats_of_a_bar():
    memory, reach = chord_progression.MEMORY, chord_progression.REACH
    past = np.zeros((4, memory), np.int32)
    past[0, -12:] = [1, 2, 3, 9, 1, 2, 3, 8, 1, 2, 3, 4]
    past[1, -7:] = [9, 1, 2, 3, 7, 1, 2]
    past[2, -1 - reach :] = range(1, 2 + reach)
    past[2, [-1 - reach, -reach]] = 1 + reach, 5
    found, then = chord_progression.runs(tf.constant(past))
    # In the first row, 4 was never heard before.
    np.testing.assert_array_equal(found, [0, 2, 1, 0])
    np.testing.assert_array_equal(then[1:3], [3, 5])
    past[0, -1] = 0
    found, _ = chord_progression.runs(tf.constant(past[:1]))
    assert found[0] == 0, "No chord is no run."
    shifted = np.roll(past[:1], 1, axis=1)
    found, then = chord_progression.runs(tf.constant(shifted))
    assert (int(found[0]), int(then[0])) == (3, 8)
    still = np.ones((1, memory), np.int32)
    found, _ = chord_progression.runs(tf.constant(still))
    assert found[0] == chord_progression.LONGEST_RUN


def test_the_chord_after_an_earlier_run_gains_by_length_and_place(chain):
    gains = np.arange(2 * (1 + chord_progression.LONGEST_RUN), dtype=np.float32)
    gains[:: 1 + chord_progression.LONGEST_RUN] = 0  # no run, no gain
    chain.repeats.assign(gains.reshape(2, -1))
    beats = 4 * tf.constant([[3, 0, 1, 2, 3, 0], [3, 0, 1, 2, 0, 1]])
    degrees = tf.constant([[0, 1, 8, 6, 0, 1]] * 2)
    # The second row has bars of three beats: its run falls on other beats this time.
    past = tf.pad(chord_progression.entry(degrees, beats), [(0, 0), (66, 0)])
    found = chain.returning(past, tf.constant([1, 1])).numpy()
    expected = np.zeros((2, NUM_DEGREES))
    expected[0, 8] = gains[1 + chord_progression.LONGEST_RUN + 2]
    np.testing.assert_array_equal(found, expected)


def test_an_entry_tells_degree_and_beat():
    degrees, positions = tf.constant([0, OTHER, 0, OTHER]), tf.constant([0, 3, 4, 12])
    entries = chord_progression.entry(degrees, positions)
    assert entries.numpy().tolist() == [1, 37, 38, 148]
    before = chord_progression.before_of(tf.concat([[0], entries], axis=0))
    np.testing.assert_array_equal(before, [0, *(1 + degrees.numpy())])
