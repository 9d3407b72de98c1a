"""Settings are checked and resolved; each control does what it says."""

import dataclasses

import numpy as np
import pytest
import small
import tensorflow as tf

from poph_tf import config, theory
from poph_tf.config import GenerationConfig
from poph_tf.data import matrices
from poph_tf.errors import InputError
from poph_tf.generation import candidates, chords, steering
from poph_tf.generation import controls as controls_lib
from poph_tf.generation.controls import Controls
from poph_tf.generation.engine import Engine
from poph_tf.generation.request import style_schedule, style_vector

TWO_STYLES = config.preset("poph", **small.SIZES, **small.STYLES)


def test_d_major_leaves_out_the_five_classes_beside_its_scale():
    # D E F# G A B C# are in D major; C, Eb, F, Ab, Bb are outside.
    np.testing.assert_array_equal(
        np.flatnonzero(theory.key_outside("D major")), [0, 3, 5, 8, 10]
    )


WHITE_KEYS = [("D", "dorian"), ("E", "phrygian"), ("F", "lydian"), ("G", "mixolydian")]


def test_the_black_keys_are_a_pentatonic():
    inside = np.flatnonzero(theory.key_outside("F# pentatonic") == 0)
    np.testing.assert_array_equal(inside, [1, 3, 6, 8, 10])


def test_relative_keys_have_the_same_notes_and_flats_lower_the_tonic():
    same = [("Bb major", "G minor"), ("A# major", "Bb major"), ("Cb major", "B major")]
    same += [(f"{tonic} {mode}", "C major") for tonic, mode in WHITE_KEYS]
    for one, other in same:
        np.testing.assert_array_equal(
            theory.key_outside(one), theory.key_outside(other)
        )


@pytest.mark.parametrize("key", ["H major", "C", "C locrian", "major", "C## major"])
def test_an_unknown_key_is_refused(key):
    with pytest.raises(InputError, match="key must be"):
        theory.key_outside(key)


def test_a_mixture_is_scaled_to_shares_and_no_style_means_the_training_shares():
    np.testing.assert_allclose(
        style_vector("bach:3, palestrina:1", TWO_STYLES), [0.75, 0.25]
    )
    np.testing.assert_allclose(style_vector("palestrina", TWO_STYLES), [0, 1])
    np.testing.assert_allclose(style_vector("", TWO_STYLES), [0.75, 0.25])


def test_capitals_of_a_style_matter_only_between_styles_that_differ_in_them():
    schedule = style_schedule("BACH:1, Palestrina:1", TWO_STYLES)
    np.testing.assert_allclose(schedule[0][1], [0.5, 0.5])
    twins = dataclasses.replace(TWO_STYLES, styles=("bach", "Bach"))
    np.testing.assert_allclose(style_vector("Bach", twins), [0, 1])
    with pytest.raises(InputError, match="no style 'BACH'"):
        style_vector("BACH", twins)


@pytest.mark.parametrize("text", ["mozart", "bach:x", "bach:-1", "bach:0", "bach:nan"])
def test_an_impossible_style_is_refused(text):
    with pytest.raises(InputError):
        style_vector(text, TWO_STYLES)


def test_styles_change_at_the_bars_they_are_given():
    for text in ("0:bach, 16:palestrina", "16: palestrina; 0: bach"):
        schedule = style_schedule(text, TWO_STYLES)
        assert [bar for bar, _ in schedule] == [0, 16]
        np.testing.assert_allclose([v for _, v in schedule], [[1, 0], [0, 1]])
    with pytest.raises(InputError, match="begin at bar 0"):
        style_schedule("4: bach", TWO_STYLES)


@pytest.mark.parametrize(
    "setting",
    [
        {"num_bars": 0},
        {"temperature": float("nan")},
        {"seed": -1},
        {"min_probability": 0.6},
        {"min_pitch": 60, "max_pitch": 50},
        {"key": "Z major"},
    ],
)
def test_a_setting_out_of_range_is_refused(setting):
    with pytest.raises(InputError):
        GenerationConfig(**setting)


def test_improbable_notes_are_never_drawn_and_nearly_certain_ones_always():
    logits = tf.constant([-3.0, 0.0, 3.0])  # 0.047, 0.5, 0.953
    controls = Controls(None, None, None, min_probability=tf.fill([3], 0.1))
    drawn = steering.play_probability(logits, tf.ones(3), controls)
    np.testing.assert_allclose(drawn, [0.0, 0.5, 1.0])


def test_probability_exponent_is_an_exponent_of_the_probability():
    controls = Controls(None, None, None, probability_exponent=tf.constant([2.0]))
    drawn = steering.play_probability(tf.constant([0.0]), tf.ones(1), controls)
    np.testing.assert_allclose(drawn, [0.25])


@pytest.fixture(scope="module")
def engine():
    return Engine(small.model("poph"), jit_compile=False)


def compose(engine, **settings):
    return engine.compose(GenerationConfig(**settings))


def play(engine, **settings):
    pieces = compose(engine, num_pieces=4, num_bars=12, seed=1, **settings)
    return np.stack([piece.play for piece in pieces])


def test_mean_density_follows_its_target(engine):
    means = [
        play(engine, density=wanted)[:, 48:].sum(axis=2).mean()
        for wanted in (1.0, 3.0, 6.0)
    ]
    np.testing.assert_allclose(means, [1.0, 3.0, 6.0], atol=0.6)


def test_a_key_with_strength_draws_fewer_notes_outside_it(engine):
    outside = np.array(theory.key_outside("C major"))[np.arange(128) % 12] > 0

    def share(notes):
        return notes[..., outside].sum() / notes.sum()

    shares = [
        share(play(engine, key="C major", key_strength=s)) for s in (0.0, 2.0, 6.0)
    ]
    assert shares[0] > shares[1] > shares[2]


def test_key_auto_lowers_pitches_outside_the_keys_that_fit_what_sounded():
    scales = controls_lib.key_scales(TWO_STYLES)  # pitches 36 (C) to 49
    nothing, chord = np.zeros((2, 1, 14), np.float32)
    strength = tf.constant([2.0])
    np.testing.assert_allclose(
        steering.auto_key_bias(nothing, scales, strength),
        np.zeros((1, 14)),
        atol=1e-6,
    )
    chord[0, [0, 4, 5, 7, 11]] = 20.0  # C E F G B are in C major alone
    bias = steering.auto_key_bias(chord, scales, strength)
    outside = np.isin(np.arange(14) % 12, [1, 3, 6, 8, 10])
    np.testing.assert_allclose(bias, [-2.0 * outside], atol=1e-4)
    chord[0] = 0.0
    chord[0, [0, 4, 7]] = 20.0  # C E G is in C, F and G major; F# is outside C and F
    bias = steering.auto_key_bias(chord, scales, strength).numpy()[0]
    np.testing.assert_allclose(
        bias[[0, 1, 5, 6, 11]], [0, -2, -2 / 3, -4 / 3, -2 / 3], atol=1e-4
    )


def test_key_auto_draws_fewer_notes_outside_the_piece_s_own_key(engine):
    shares = [
        candidates.out_of_key(play(engine, key="auto", key_strength=strength), 0).mean()
        for strength in (0.0, 6.0)
    ]
    assert shares[1] < 0.8 * shares[0]


def test_pitches_outside_the_range_are_never_drawn(engine):
    notes = play(engine, min_pitch=40, max_pitch=44, density=2.0)
    assert notes[..., 40:45].any()
    assert not np.delete(notes, np.arange(40, 45), axis=2).any()


def test_a_control_without_effect_changes_no_note(engine):
    np.testing.assert_array_equal(
        play(engine),
        play(engine, key="C major", key_strength=0.0, min_probability=0.0),
    )


def test_a_control_at_its_default_is_not_in_the_graph():
    settings = {"num_pieces": 4, "density": 0.1, "min_probability": 0.0}
    default, changed = (
        GenerationConfig(silence_temperature=warmth, **settings).resolve(TWO_STYLES)
        for warmth in (0.1, 0.0)
    )
    assert default.controls.min_probability is None
    np.testing.assert_array_equal(default.controls.density, [np.float32(0.1)] * 4)
    assert default.controls.silence_temperature == 0.1
    np.testing.assert_array_equal(changed.controls.silence_temperature, [0.0] * 4)


def test_other_values_of_a_control_are_drawn_by_the_same_graph(engine):
    play(engine)
    graph = engine._graph(0, False)
    count = graph.experimental_get_tracing_count()
    play(engine, temperature=0.8, density=0.0)
    assert graph.experimental_get_tracing_count() == count
    play(engine, probability_exponent=2.0)
    play(engine, probability_exponent=1.5, temperature=0.7)
    assert graph.experimental_get_tracing_count() == count + 1


def test_a_style_from_bar_0_is_that_style_and_a_later_one_keeps_the_start(engine):
    bach = play(engine, style="bach")
    np.testing.assert_array_equal(bach, play(engine, style="0: bach; 99: palestrina"))
    changed = play(engine, style="0: bach; 6: palestrina")
    np.testing.assert_array_equal(bach[:, : 6 * 16], changed[:, : 6 * 16])
    assert (bach[:, 6 * 16 :] != changed[:, 6 * 16 :]).any()


def waltz():
    piece = small.random_piece(num_steps=30, seed=4)
    bars = (np.arange(30) % 12).astype(np.uint8)
    return matrices.canonical(
        matrices.Matrices(
            cells=piece.cells, bar_position=bars, time_signatures=((0, 3, 4),)
        )
    )


def test_a_primer_is_kept_or_left_out_and_its_time_signature_continues(engine):
    primer = waltz()
    settings = {"num_pieces": 2, "num_bars": 3, "seed": 3, "primer": primer}
    kept = compose(engine, **settings)[1]
    alone = compose(engine, **settings, keep_primer=False)[1]
    assert len(kept) == 30 + 36
    np.testing.assert_array_equal(kept.cells[:30], primer.cells)
    np.testing.assert_array_equal(kept.bar_position, np.arange(66) % 12)
    np.testing.assert_array_equal(kept.play[30:], alone.play)
    np.testing.assert_array_equal(alone.bar_position, (np.arange(36) + 6) % 12)


def test_the_primer_changes_what_follows(engine):
    primer = waltz()
    settings = {"num_pieces": 2, "num_bars": 3, "seed": 3, "keep_primer": False}
    settings |= {"temperature": 0.2, "density": 4.0}  # makes small differences decide
    after = compose(engine, **settings, primer=primer)
    silent = matrices.Matrices(
        cells=np.zeros_like(primer.cells),
        bar_position=primer.bar_position,
        time_signatures=primer.time_signatures,
    )
    after_silence = compose(engine, **settings, primer=silent)
    assert any(a != b for a, b in zip(after, after_silence, strict=True))


def test_the_default_volume_sounds_where_a_model_has_none():
    heads = {"play": tf.constant([9.0])}
    controls = Controls(None, tf.ones(1), None)
    numbers, before = tf.constant([[0.5, 0.5]]), tf.zeros((1, 3))
    cell = chords.draw_cell(heads, before, numbers, controls)
    np.testing.assert_allclose(cell, [[1.0, 0.0, chords.DEFAULT_VOLUME / 127]])
