"""Likelihood of pieces with tracks: by track, given tracks, given the length."""

import numpy as np
import pytest
import small

from poph_tf.data import matrices
from poph_tf.data.examples import Piece
from poph_tf.evaluation import likelihood
from poph_tf.models import metrics

LENGTHS = (5, 9)


def pieces():
    """Two pieces of three voices, which rest now and then."""
    made = []
    for seed, steps in enumerate(LENGTHS):
        rng = np.random.default_rng(seed)
        stack = np.zeros((steps, 3, 128, 3), np.uint8)
        pitch = rng.integers(35, 36 + small.NUM_PITCHES, (steps, 3))
        t, k = np.nonzero(pitch >= 36)
        stack[t, k, pitch[t, k]] = (1, 0, 64)
        bars = (np.arange(steps) % 4).astype(np.uint8)
        piece = matrices.from_stack(stack, small.VOICES, bars)
        made.append(Piece(piece, style="bach", source="", id=str(seed)))
    return made


def expected(model, piece, given=(), bars_left=None):
    """Sums of the model over the whole piece at once."""
    roll = likelihood.roll(piece.matrices, model.config)[None]
    frames = np.concatenate([np.zeros_like(roll[:, :1]), roll], axis=1)
    frames = frames.astype(np.float32) / np.array([1, 1, 127], np.float32)
    mask = np.zeros(roll.shape[:3], np.float32)
    mask[..., list(given)] = 1.0
    inputs = {
        "previous": frames[:, :-1],
        "current": frames[:, 1:],
        "bar_position": piece.matrices.bar_position[None].astype(np.int32),
        "style": np.array([[1.0, 0.0]], np.float32),
        "given": mask,
        "mask": np.ones(roll.shape[:2], np.float32),
    }
    if bars_left is not None:
        inputs["bars_left"] = bars_left[None]
    sums = metrics.step_sums(model(inputs), inputs, model.config)
    return {name: float(value) for name, value in sums.items()}


@pytest.mark.parametrize("names", [(), ("soprano",), ("bass", "soprano")])
def test_tracks_are_scored_as_the_whole_model_does_given_whole_tracks(names):
    model, (short, long) = small.model("voices"), pieces()
    order = [track.name for track in small.VOICES]
    places = [order.index(name) for name in names]
    scorer = likelihood.Scorer(model, 2, window_steps=4, given=names)
    found = scorer.sums([short, long])
    wanted = [expected(model, piece, places) for piece in (short, long)]
    for name in wanted[0]:
        total = sum(sums[name] for sums in wanted)
        assert found[name] == pytest.approx(total, rel=1e-4, abs=1e-3), name
    for name in names:
        assert found[metrics.TRACK_NATS + name] == 0.0


def test_evaluate_gives_the_figures_of_tracks():
    model, music = small.model("voices"), pieces()
    figures = likelihood.evaluate(
        model, lambda split: music, "test", given=("soprano",), batch_size=2
    )
    by_track = figures["nats_per_step_by_track"]
    assert set(by_track) == {"soprano", "alto", "bass"}
    total = figures["play_nats_per_step"] + figures["replay_nats_per_step"]
    assert sum(by_track.values()) == pytest.approx(total, rel=1e-5)
    assert set(figures["nats_per_step_given"]) == {"alto", "bass"}
    with_length = sum(
        expected(model, piece, bars_left=piece.matrices.bars_left)["play_nats"]
        for piece in music
    )
    found = figures["play_nats_per_step_given_length"]
    assert found == pytest.approx(with_length / sum(LENGTHS), rel=1e-4)
