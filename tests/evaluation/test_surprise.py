"""Surprise of notes and attention along time, against the sums of the losses."""

import keras
import numpy as np
import pytest
import small

from poph_tf import models
from poph_tf.data import examples, matrices
from poph_tf.errors import InputError
from poph_tf.evaluation import inspection, likelihood


def scored(model, piece):
    sums = likelihood.Scorer(model, batch_size=1).sums(
        [examples.Piece(piece, model.config.styles[0], "", "")]
    )
    return sums["play_nats"] + sums.get("replay_nats", 0.0)


def of_voices(steps=20):
    """Three voices that hold each pitch for two steps."""
    rng = np.random.default_rng(4)
    stack = np.zeros((steps, 3, 128, 3), np.uint8)
    for track in range(3):
        pitch = np.repeat(rng.integers(36, 50, steps // 2), 2)
        stack[np.arange(steps), track, pitch] = (1, 0, 80)
    position = (np.arange(steps) % 16).astype(np.uint8)
    return matrices.from_stack(stack, small.VOICES, position)


@pytest.mark.parametrize("name", ["poph2", "voices"])
def test_the_nats_of_steps_add_up_to_those_of_the_piece(name):
    model = small.model(name)
    # Longer than a window, so that the state is carried over.
    piece = of_voices(150) if name == "voices" else small.random_piece(1, 150)
    found = inspection.surprise(model, piece, model.config.styles[0])
    assert found.nats_per_step.shape == (150,)
    assert found.nats_per_step.sum() == pytest.approx(scored(model, piece), rel=1e-4)


def test_a_network_that_knows_nothing_gives_each_note_the_same_nats():
    keras.utils.set_random_seed(1)
    model = models.build(small.model_config("voices"))
    heads = model.get_layer("heads")
    heads.kernel.assign(np.zeros_like(heads.kernel))
    heads.bias.assign(np.zeros_like(heads.bias))
    piece = of_voices()
    found = inspection.surprise(model, piece, "bach")
    again = {note["nats"] for note in found.most(99)}
    # One of 14 pitches or a rest; a repeated pitch is struck or held, with odds of 1:1.
    log = np.log(15)
    assert {round(nats, 4) for nats in again} <= {
        round(log, 4),
        round(log + np.log(2), 4),
    }
    assert found.tracks == ("soprano", "alto", "bass")
    assert sum(map(len, found.notes)) == len(found.most(99))


def test_the_most_surprising_notes_come_first_with_their_place():
    notes = np.array([[0, 4, 60, 0.5], [20, 24, 62, 3.0], [24, 28, 64, np.nan]])
    piece = small.random_piece(1, 32)
    found = inspection.Surprise(piece, ("alto",), (notes,), np.zeros(32))
    assert found.most(1) == [
        {"track": "alto", "bar": 1, "step": 4, "pitch": 62, "nats": 3.0}
    ]
    assert repr(found) == "<Surprise of 3 notes, 1.75 nats each>"


def test_attention_falls_on_earlier_steps_only(tmp_path):
    model = small.model("voices")
    piece = of_voices(40)
    found = inspection.attention(model, piece, "bach")
    heads, reach = model.config.num_heads, model.config.time_attention_steps
    assert found.weights.shape == (heads, 40, 40)
    back = np.arange(40)[:, None] - np.arange(40)
    seen = (back >= 1) & (back <= reach)
    assert (found.weights[:, ~seen] == 0).all() and (found.weights[:, seen] > 0).all()
    # A null source takes the rest.
    assert (found.weights.sum(axis=-1) < 1).all()
    by_bar = found.by_bar  # of 16, 16 and 8 steps
    mean = found.weights.mean(axis=0)
    assert by_bar.shape == (3, 3)
    assert by_bar[2, 1] == pytest.approx(mean[32:, 16:32].sum() / 8)
    found.plot(2, tmp_path / "bar.png")
    assert (tmp_path / "bar.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(InputError, match="bar must be 0 to 2, got 3"):
        found.figure(3)


def test_a_model_without_attention_by_frames_is_refused():
    model = small.model("deepj")
    with pytest.raises(InputError, match="time_attention=frames, this one has none"):
        inspection.attention(model, small.random_piece(1, 16), "any")
