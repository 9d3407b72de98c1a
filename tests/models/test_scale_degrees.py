"""How a network is conditioned on the key, by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from poph_tf import config, models
from poph_tf.config import TrainingConfig
from poph_tf.errors import InputError
from poph_tf.models import layers
from poph_tf.theory import key_number
from poph_tf.training import optimizers

LOW, PITCHES = 59, 14


@pytest.fixture
def degrees():
    """One unit and two places; the entry of degree d at place p is d + 100 p."""
    layer = layers.ScaleDegrees(1, LOW, PITCHES, num_places=2)
    layer.build()
    layer.table.assign(np.arange(24)[None] + 100.0 * np.arange(2)[:, None])
    return layer


def told(layer, keys, places, strength=None):
    """The layer's output for one piece, float [time, pitch]."""
    return layer(tf.constant([keys]), tf.constant([places]), strength)[:, 0, :, 0]


def test_a_pitch_gets_the_entry_of_its_degree_in_major_or_minor_at_its_place(degrees):
    keys = [key_number(name) for name in ("C major", "D major", "A minor")]
    found = told(degrees, keys, [0, 1, 0]).numpy()
    assert found[0, 60 - LOW] == 0  # C is the tonic
    assert found[0, 67 - LOW] == 7
    assert found[0, 59 - LOW] == 11  # the leading note below it
    assert found[1, 62 - LOW] == 100
    assert found[1, 60 - LOW] == 110
    assert found[2, 69 - LOW] == 12  # degrees in minor follow those in major
    assert found[2, 72 - LOW] == 15


def test_an_unknown_key_adds_nothing_and_the_strength_multiplies(degrees):
    assert not np.any(told(degrees, [-1, -1], [0, 1]))
    once = told(degrees, [3, 20], [1, 0])
    three = told(degrees, [3, 20], [1, 0], tf.constant([3.0]))
    np.testing.assert_allclose(three, 3 * once)


def test_each_piece_has_its_own_strength(degrees):
    keys = tf.constant([[5], [5]])
    found = degrees(keys, tf.zeros_like(keys), tf.constant([1.0, 0.0]))
    assert np.any(found[:, 0])
    assert not np.any(found[:, 1])


def test_an_untrained_table_changes_nothing_and_is_learnt():
    layer = layers.ScaleDegrees(2, LOW, PITCHES, num_places=3)
    key, place = tf.constant([[0, -1]]), tf.constant([[2, 2]])
    with tf.GradientTape() as tape:
        found = layer(key, place)
        loss = tf.reduce_sum(found[..., 0])
    assert not np.any(found)
    slope = tape.gradient(loss, layer.table).numpy().reshape(3, 24, 2)
    # Each of the 12 major degrees once or twice, at one place; the unknown key never.
    expected = np.zeros((3, 24, 2))
    expected[2, :12, 0] = np.bincount((np.arange(PITCHES) + LOW) % 12)
    np.testing.assert_array_equal(slope, expected)


def test_it_is_adam_that_learns_the_table():
    layer = layers.ScaleDegrees(2, LOW, PITCHES, name="scale_degrees")
    layer.build()
    optimizer = optimizers.make(TrainingConfig(optimizer="muon"))
    assert isinstance(optimizer, keras.optimizers.Muon)
    assert optimizer._should_use_adamw(layer.table)


def test_a_model_without_tracks_that_shall_read_the_key_is_refused():
    with pytest.raises(InputError, match="Only models with tracks read the key"):
        models.build(config.preset("poph2", key=True))
