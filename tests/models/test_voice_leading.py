"""The table of interval changes, by hand."""

import numpy as np
import pytest
import small
import tensorflow as tf

from poph_tf import models
from poph_tf.config import Track
from poph_tf.models.layers import VoiceLeading
from poph_tf.models.layers.voice_leading import INTERVALS, MOTIONS

PITCHES = 24


def rated(now, before, given=(0, 0), track=1):
    """The table entry that each pitch of a voice reads, or None."""
    layer = VoiceLeading(1, track, [1 - track])
    play, was = (np.zeros((1, 1, 2, PITCHES), np.float32) for _ in range(2))
    for frame, pitches in ((play, now), (was, before)):
        for voice, pitch in enumerate(pitches):
            if pitch is not None:
                frame[0, 0, voice, pitch] = 1
    layer.build()
    entries = np.arange(1, 1 + INTERVALS * INTERVALS * MOTIONS, dtype=np.float32)
    layer.table.assign(entries.reshape(layer.table.shape))
    given = tf.constant([[given]], tf.float32)
    out = layer(tf.constant(play), tf.constant(was), given)[0, 0, :, 0].numpy()
    return [None if v == 0 else np.unravel_index(int(v) - 1, SHAPE) for v in out]


SHAPE = (INTERVALS, INTERVALS, MOTIONS)


def test_parallel_fifths_have_an_entry_of_their_own():
    # The upper voice steps from 19 to 21; the lower one was at 12, a fifth below.
    found = rated(now=(21, None), before=(19, 12))
    assert found[14] == (7, 7, 2)  # both up, a fifth again
    assert found[12] == (7, 9, 1)  # held: oblique
    assert found[9] == (7, 0, 0)  # down, to an octave: contrary


def test_a_rest_is_an_interval_too():
    assert rated(now=(None, None), before=(19, 12))[14] == (7, 12, 1)
    assert rated(now=(21, None), before=(None, 12))[14] == (12, 7, 1)
    assert rated(now=(21, None), before=(19, None))[14] == (12, 7, 1)


@pytest.mark.parametrize(("given", "sees"), [((0, 0), False), ((0, 1), True)])
def test_the_first_voice_sees_later_ones_only_where_they_are_given(given, sees):
    found = rated(now=(None, 12), before=(19, 12), given=given, track=0)
    assert (found[19] == (5, 5, 1)) is sees
    assert (found[19] is None) is not sees


def test_a_step_of_many_pieces_is_that_of_each():
    # With oneDNN, the product of many one-step batches and a matrix was wrong.
    layer = VoiceLeading(64, 1, [0, 2, 3])
    layer.build()
    rng = np.random.default_rng(0)
    layer.table.assign(rng.normal(size=layer.table.shape))
    play = np.eye(48, dtype=np.float32)[rng.integers(0, 48, (128, 1, 4))]
    before = np.eye(48, dtype=np.float32)[rng.integers(0, 48, (128, 1, 4))]
    given = np.zeros((128, 1, 4), np.float32)
    together = np.asarray(layer(play, before, given))
    for row in range(0, 128, 16):
        one = slice(row, row + 1)
        alone = layer(play[one], before[one], given[one])
        np.testing.assert_allclose(together[:, one], alone, atol=1e-5)


def test_the_strength_of_a_voice_multiplies_what_it_says():
    def told(others, strengths):
        layer = VoiceLeading(1, 3, others, strengths)
        layer.build()
        rng = np.random.default_rng(0)
        layer.table.assign(rng.normal(size=layer.table.shape))
        play, before = np.eye(PITCHES, dtype=np.float32)[
            rng.integers(0, PITCHES, (2, 1, 1, 4))
        ]
        return layer(play, before, np.zeros((1, 1, 4), np.float32)).numpy()

    parts = [told([other], None) for other in (0, 1, 2)]
    assert not np.allclose(parts[0], parts[1])
    together = told([0, 1, 2], [1.5, 1.0, 0.0])
    np.testing.assert_allclose(together, 1.5 * parts[0] + parts[1], atol=1e-5)


def test_outer_voices_are_the_first_and_the_last_one():
    choir = [Track(name, voice=True) for name in ("soprano", "alto", "tenor", "bass")]
    settings = small.model_config(
        "voices", tracks=(Track("organ"), *choir), outer_voices=1.5
    )
    network = models.build(settings).network
    strengths = [layer and layer.strengths for layer in network.voice_leading]
    assert strengths == [None, [1, 1, 1.5], [1, 1, 1], [1, 1, 1], [1.5, 1, 1]]
