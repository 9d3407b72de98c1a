"""Look-ahead at given notes: struck notes, known tracks, bars left; by hand."""

import numpy as np
import pytest
import tensorflow as tf

from poph_tf.models.layers import look_ahead


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_given_notes_are_struck_behind_what_is_free(channels):
    # One pitch that keeps sounding in one track, struck again at step 3.
    play, replay = [1, 1, 1, 1, 1], [0, 0, 0, 1, 0]
    planes = np.float32([play, replay, replay])[:channels]
    current = planes.T.reshape(1, 5, 1, 1, channels)
    previous = np.roll(current, 1, axis=1)  # it sounds before, too
    given = np.float32([0, 0, 1, 1, 1]).reshape(1, 5, 1)
    found = look_ahead.struck_notes(*map(tf.constant, (current, previous, given)))
    # Step 2 is given; the step before it is free.
    struck = [0, 0, 1, float(channels > 1), 0]
    np.testing.assert_array_equal(found[0, :, 0, 0], np.transpose([play, struck]))


def test_a_track_knows_those_before_it_and_those_that_are_given():
    given = tf.constant([[[0.0, 0.0, 0.0, 1.0], [1.0, 1.0, 0.0, 0.0]]])
    known = look_ahead.known_tracks(given, 1, [0, 2, 3])
    np.testing.assert_array_equal(known, [[[1, 0, 1], [1, 0, 0]]])


def test_bars_left_are_a_share_of_32_and_the_last_8_by_name():
    found = look_ahead.bars_left_features(tf.constant([[-1, 0, 7, 8, 32, 33]]))[0]
    assert found.shape == (6, 10)
    np.testing.assert_array_equal(found[:, 0], [0, 1, 1, 1, 1, 1])
    np.testing.assert_allclose(found[:, 1], [0, 0, 7 / 32, 8 / 32, 1, 1])
    np.testing.assert_array_equal(found[:, 2:].numpy().sum(axis=1), [0, 1, 1, 0, 0, 0])
    assert found[1, 2] == 1 and found[2, 9] == 1
