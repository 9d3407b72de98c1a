"""The key that a request gives the network: requested, of given music, or drawn."""

import dataclasses

import numpy as np
import pytest
from test_track_tasks import MODEL, part

from poph_tf.config import GenerationConfig
from poph_tf.data.matrices import Matrices
from poph_tf.generation import host_randomness
from poph_tf.generation.request import resolve

MODEL_OF_KEYS = dataclasses.replace(MODEL, key=True)


def test_the_key_is_the_one_asked_for_that_of_the_music_or_a_drawn_one():
    # A melody in D major.
    notes = [
        (4 * k, 4 * k + 4, p) for k, p in enumerate((66, 69, 71, 69, 67, 66, 64, 62))
    ]
    soprano = part("soprano", notes)
    position = (np.arange(32) % 16).astype(np.uint8)
    music = Matrices(soprano.cells, position, tracks=(soprano,))

    def keys(**settings):
        return resolve(
            GenerationConfig(**settings), MODEL_OF_KEYS
        ).controls.key.tolist()

    assert keys(num_pieces=2, key="Bb minor", music=music) == [22, 22]
    harmonized = {"music": music, "task": "harmonize", "num_pieces": 2}
    assert keys(**harmonized) == [2, 2]
    assert keys(music=music, num_bars=1, key="auto") == [2] * 4
    drawn = keys(num_pieces=500, seed=3)
    assert (
        drawn
        == host_randomness.keys(
            np.stack([np.full(500, 3), np.arange(500)], axis=1).astype(np.int32)
        ).tolist()
    )
    # 500 draws of 24 keys: each about 21 times, give or take 4.5 (one deviation).
    assert np.bincount(drawn, minlength=24).min() > 4
    assert np.bincount(drawn).max() < 40
    assert resolve(GenerationConfig(), MODEL).controls.key is None


@pytest.mark.parametrize(
    ("task", "key"),
    [
        ({"task": "infill", "bars": "2"}, 2),
        ({"task": "continue", "num_bars": 1}, 2),
        ({"task": "infill", "bars": "1"}, 9),
    ],
)
def test_where_the_given_music_stops_is_no_end(task, key):
    # D F# A E is D major unless E is the last note: then it is A major.
    notes = [(4 * k, 4 * k + 4, p) for k, p in enumerate((62, 66, 69, 64) * 2)]
    soprano = part("soprano", notes)
    position = (np.arange(32) % 16).astype(np.uint8)
    music = Matrices(soprano.cells, position, tracks=(soprano,))
    request = resolve(GenerationConfig(music=music, **task), MODEL_OF_KEYS)
    assert request.controls.key.tolist() == [key] * 4


def test_a_scale_that_the_network_has_learnt_is_told_and_others_bias_the_pitches():
    for key, biased in (("D minor", False), ("D dorian", True), ("auto", False)):
        settings = GenerationConfig(key=key, key_strength=3.0, num_pieces=2)
        controls = resolve(settings, MODEL_OF_KEYS).controls
        assert (controls.pitch_bias is not None) == biased
        assert controls.key_strength.tolist() == [3.0, 3.0]
        assert controls.key_scales is None
    assert resolve(GenerationConfig(), MODEL).controls.key_strength is None
    controls = resolve(GenerationConfig(key="auto"), MODEL).controls
    assert controls.key_scales is not None
