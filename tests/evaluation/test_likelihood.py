"""Scoring whole pieces: windows and batches change nothing, figures by hand."""

import dataclasses
import math

import numpy as np
import pytest
import small

from poph_tf import config
from poph_tf.data import examples, matrices
from poph_tf.errors import InputError
from poph_tf.evaluation import likelihood
from poph_tf.models import metrics

LENGTHS = (5, 23, 16, 1)


def piece_of(music, style="bach"):
    return examples.Piece(music, style, "a.mid", examples.content_id(music))


def random_pieces():
    return [piece_of(small.random_piece(k, n)) for k, n in enumerate(LENGTHS)]


def whole_piece_sums(model, pieces, style=(1.0,)):
    """Each piece alone, in one pass of the functional model."""
    total = {}
    for piece in pieces:
        inputs = small.inputs_of(small.frames_of([piece.matrices]), style=style)
        for name, value in metrics.step_sums(
            model(inputs), inputs, model.config
        ).items():
            total[name] = total.get(name, 0.0) + float(value)
    return total


@pytest.mark.parametrize("name", ["attention_by_frames", "attention_per_pitch"])
def test_windows_batches_and_slices_of_any_size_give_the_figures_of_the_whole(name):
    model = small.model(name)
    expected = whole_piece_sums(model, random_pieces())
    assert expected["steps"] == sum(LENGTHS)
    for batch_size, window_steps, slices in (
        (1, 3, 2),
        (3, 64, 1),
        (4, 8, 2),
        (3, 8, 2),
    ):
        scorer = likelihood.Scorer(model, batch_size, window_steps, slices)
        sums = scorer.sums(random_pieces())
        assert sums.pop("pieces") == len(LENGTHS)
        assert set(sums) == set(expected)
        for key, value in expected.items():
            assert sums[key] == pytest.approx(value, rel=1e-4, abs=1e-3), key


def test_progress_counts_all_pieces():
    done = []
    scorer = likelihood.Scorer(small.model("biaxial"), 3, 32)
    scorer.sums(random_pieces(), done.append)
    assert done[-1] == len(LENGTHS) and done == sorted(done)


def test_a_style_is_found_by_its_name():
    model = small.model("poph")  # knows bach and palestrina
    scorer = likelihood.Scorer(model, 2, 32)
    music = small.random_piece(1, 9)
    by_style = {
        style: scorer.sums([piece_of(music, style)])["play_nats"]
        for style in model.config.styles
    }
    assert by_style["bach"] != pytest.approx(by_style["palestrina"], rel=1e-4)
    frames = small.frames_of([music])
    inputs = small.inputs_of(frames, style=(0.0, 1.0))
    expected = float(
        metrics.step_sums(model(inputs), inputs, model.config)["play_nats"]
    )
    assert by_style["palestrina"] == pytest.approx(expected, rel=1e-4)


def music_of(*steps):
    """Matrices with these steps, each a list of the MIDI numbers that sound."""
    cells = np.zeros((len(steps), 128, 3), np.uint8)
    for step, pitches in enumerate(steps):
        cells[step, list(pitches)] = 1, 0, 64
    bars = (np.arange(len(steps)) % 16).astype(np.uint8)
    return matrices.canonical(matrices.Matrices(cells=cells, bar_position=bars))


TWO_PITCHES = config.preset("biaxial", min_pitch=60, num_pitches=2)


def test_the_marginal_is_a_bernoulli_for_each_pitch_smoothed_by_one():
    # Pitch 60 sounds in 2 of 3 steps, 61 in none; 72 is outside the model's range.
    train = [piece_of(music_of([60, 72], [60])), piece_of(music_of([72]))]
    marginal = likelihood.Marginal(train, TWO_PITCHES)
    np.testing.assert_allclose(marginal.probability, [3 / 5, 1 / 5])
    test = [piece_of(music_of([60], [61, 72])), piece_of(music_of([]))]
    nats = [
        math.log(5 / 3) + math.log(5 / 4),  # 60 sounds, 61 does not
        math.log(5 / 2) + math.log(5),  # 61 sounds, 60 does not
        math.log(5 / 2) + math.log(5 / 4),  # neither
    ]
    assert marginal.nats_per_step(test) == pytest.approx(sum(nats) / 3)


def test_notes_out_of_key_are_counted_piece_by_piece_in_the_model_s_range():
    whole = config.preset("deepj")  # from 36 to 83
    in_c = music_of([60, 62, 64], [65, 67, 69])
    in_f_sharp = music_of([66, 68, 70], [71, 73, 75])
    cluster = music_of([60, 61, 62], [100])  # one of three is outside any key
    share = likelihood.out_of_key_share([in_c, in_f_sharp], whole)
    assert share == 0.0
    share = likelihood.out_of_key_share([in_c, cluster], whole)
    assert share == pytest.approx(1 / 9)
    assert likelihood.out_of_key_share([music_of([], [])], whole) == 0.0


def test_an_evaluation_has_all_figures_in_their_units():
    model, pieces = small.model("deepj"), random_pieces()
    splits = {"train": pieces[:1], "test": pieces[1:]}
    figures = likelihood.evaluate(model, lambda s: iter(splits[s]), "test")
    sums = whole_piece_sums(model, pieces[1:])
    steps = sum(LENGTHS[1:])
    assert figures["num_steps"] == steps and figures["num_pieces"] == 3
    assert figures["play_nats_per_step"] == pytest.approx(
        sums["play_nats"] / steps, rel=1e-4
    )
    assert figures["replay_nats_per_step"] == pytest.approx(
        sums["replay_nats"] / steps, rel=1e-4
    )
    assert figures["volume_mse"] == pytest.approx(
        sums["volume_loss"] / sums["sounding"], rel=1e-4
    )
    marginal = likelihood.Marginal(pieces[:1], model.config)
    assert figures["marginal_play_nats_per_step"] == pytest.approx(
        marginal.nats_per_step(pieces[1:])
    )
    found = (sums[name] for name in ("true_positives", "predicted", "sounding"))
    assert figures["play_f1"] == pytest.approx(metrics.f1(*found), abs=1e-6)
    assert figures["out_of_key_share"] == likelihood.out_of_key_share(
        [piece.matrices for piece in pieces[1:]], model.config
    )


def test_an_evaluation_of_nothing_is_refused():
    splits = {"train": random_pieces(), "test": []}
    with pytest.raises(InputError, match="test split has no piece that can be read"):
        likelihood.evaluate(small.model("deepj"), lambda s: iter(splits[s]), "test")


def test_an_evaluation_has_figures_of_each_style():
    model = small.model("poph")  # knows bach and palestrina
    pieces = [piece_of(piece.matrices, "bach") for piece in random_pieces()]
    pieces[1] = dataclasses.replace(pieces[1], style="palestrina")
    shown = []
    figures = likelihood.evaluate(model, lambda _: iter(pieces), "test", shown.append)
    by_style = figures["styles"]
    assert list(by_style) == ["bach", "palestrina"]
    expected = whole_piece_sums(model, pieces[1:2], style=(0.0, 1.0))
    assert by_style["palestrina"]["num_steps"] == LENGTHS[1]
    assert by_style["palestrina"]["play_nats_per_step"] == pytest.approx(
        expected["play_nats"] / LENGTHS[1], rel=1e-4
    )
    steps = [part["num_steps"] for part in by_style.values()]
    nats = [part["play_nats_per_step"] for part in by_style.values()]
    assert figures["play_nats_per_step"] == pytest.approx(
        np.average(nats, weights=steps)
    )
    assert shown[-1] == figures["num_pieces"] == len(pieces)
    # A style without pieces has no figures.
    figures = likelihood.evaluate(model, lambda _: iter(pieces[2:]), "test")
    assert list(figures["styles"]) == ["bach"]
