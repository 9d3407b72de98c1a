"""The losses against numbers worked by hand."""

import math

import numpy as np
import pytest
import tensorflow as tf
from small import model_config

from poph_tf import theory
from poph_tf.models import losses, metrics

C4 = 60  # a C, so that pitch n of a roll from here has class n
LN3 = math.log(3.0)


def roll(*values):
    """[1, 1, pitch]: one piece of one step."""
    return tf.constant([[values]], tf.float32)


def chord(*classes, num_pitches=12):
    """One step in which the pitches `classes` sound, float32 [1, 1, pitch]."""
    cells = np.zeros((1, 1, num_pitches), np.float32)
    cells[..., list(classes)] = 1.0
    return tf.constant(cells)


def test_play_nats_sum_over_pitches():
    # sigmoid(0) = 1/2 and sigmoid(ln 3) = 3/4: ln 2 - ln 3/4 - ln 1/4.
    nats = losses.play_nats(roll(1.0, 1.0, 0.0), roll(0.0, LN3, LN3))
    expected = math.log(2) + math.log(4 / 3) + math.log(4)
    np.testing.assert_allclose(nats, [[expected]], rtol=1e-6)


def test_play_nats_keep_batch_and_time_apart():
    target = tf.constant([[[1.0, 1.0], [0.0, 0.0]], [[1.0, 0.0], [0.0, 1.0]]])
    nats = losses.play_nats(target, tf.fill((2, 2, 2), LN3))
    one, none = math.log(4 / 3), math.log(4)
    expected = [[2 * one, 2 * none], [one + none, one + none]]
    np.testing.assert_allclose(nats, expected, rtol=1e-6)


def test_replay_nats_count_sounding_cells_only():
    play, replay = roll(1.0, 1.0, 0.0), roll(1.0, 0.0, 0.0)
    nats = losses.replay_nats(play, replay, roll(LN3, LN3, 50.0))
    np.testing.assert_allclose(nats, [[math.log(4 / 3) + math.log(4)]], rtol=1e-6)


def test_replay_is_possible_only_where_the_pitch_sounds_and_sounded():
    possible = losses.replay_possible(roll(1, 1, 0, 0), roll(1, 0, 1, 0))
    np.testing.assert_array_equal(possible, [[[1, 0, 0, 0]]])


def test_volume_error_is_squared_over_sounding_cells():
    error = losses.volume_error(roll(1, 1, 0), roll(0.5, 1, 0), roll(0.75, 0, 9))
    np.testing.assert_allclose(error, [[0.25**2 + 1.0]], rtol=1e-6)


def test_losses_from_logits_are_finite_and_right_at_a_thousand():
    nats = losses.play_nats(roll(1, 0, 1, 0), roll(1000, -1000, -1000, 1000))
    np.testing.assert_allclose(nats, [[2000.0]])
    logits = tf.Variable(roll(1000.0, -1000.0))
    with tf.GradientTape() as tape:
        loss = losses.play_nats(roll(0.0, 1.0), logits)
    np.testing.assert_allclose(tape.gradient(loss, logits), [[[1.0, -1.0]]])


def test_octaves_fold_onto_their_pitch_class_and_neighbours_do_not():
    play = np.zeros((1, 1, 26), np.float32)
    play[0, 0, [0, 12, 24]] = 0.5, 0.25, 0.125  # three Ds
    play[0, 0, 1] = 0.0625  # an E flat
    folded = losses.fold_octaves(tf.constant(play), min_pitch=C4 + 2)
    expected = np.zeros((1, 1, 12), np.float32)
    expected[0, 0, 2], expected[0, 0, 3] = 0.875, 0.0625
    np.testing.assert_array_equal(folded, expected)


def test_folding_counts_pitch_classes_of_any_lowest_pitch():
    for min_pitch in (21, 36, 40):
        play = np.random.default_rng(min_pitch).random(30).astype(np.float32)
        expected = np.zeros(12)
        for n, value in enumerate(play):
            expected[(min_pitch + n) % 12] += value
        folded = losses.fold_octaves(tf.constant(play)[None, None], min_pitch)
        np.testing.assert_allclose(folded[0, 0], expected, rtol=1e-5)


@pytest.mark.parametrize("minor", ["natural", "harmonic"])
def test_silence_has_five_of_twelve_classes_outside_any_key(minor):
    term = losses.harmony(chord(), C4, minor)
    np.testing.assert_allclose(term, [[5 / 12]], rtol=1e-6)


def test_a_c_major_triad_leaves_five_light_classes_outside():
    # softmax: three classes weigh e, nine weigh 1, five of those are outside.
    term = losses.harmony(chord(0, 4, 7), C4)
    np.testing.assert_allclose(term, [[5 / (3 * math.e + 9)]], rtol=1e-6)
    assert float(term[0, 0]) == pytest.approx(0.2915, abs=5e-5)


def test_a_triad_weighs_the_same_on_every_root_and_from_every_lowest_pitch():
    for root in range(12):
        classes = [(root + k) % 12 for k in (0, 4, 7)]
        term = losses.harmony(chord(*classes), C4)
        np.testing.assert_allclose(term, [[5 / (3 * math.e + 9)]], rtol=1e-6)
    shifted = losses.harmony(chord(5, 9, 12, num_pitches=14), min_pitch=C4 + 7)
    np.testing.assert_allclose(shifted, [[5 / (3 * math.e + 9)]], rtol=1e-6)


def test_a_chromatic_cluster_has_a_note_outside_the_best_key():
    # C, C#, D: each key leaves out at least one of them and four silent classes:
    # (e + 4) / (3 e + 9).
    term = losses.harmony(chord(0, 1, 2), C4)
    np.testing.assert_allclose(term, [[(math.e + 4) / (3 * math.e + 9)]], rtol=1e-6)


def test_all_twelve_classes_weigh_as_silence():
    term = losses.harmony(chord(*range(12)), C4)
    np.testing.assert_allclose(term, [[5 / 12]], rtol=1e-6)


def test_the_harmonic_minor_contains_its_leading_note():
    # C, E flat, A flat, B: all in C harmonic minor, in no natural minor or major.
    notes = chord(0, 3, 8, 11)
    inside = 5 / (4 * math.e + 8)
    np.testing.assert_allclose(
        losses.harmony(notes, C4, "harmonic"), [[inside]], rtol=1e-6
    )
    assert float(losses.harmony(notes, C4, "natural")[0, 0]) > inside + 0.05


def harmony_gradient(play):
    play = tf.Variable(play)
    with tf.GradientTape() as tape:
        term = losses.harmony(play, C4)
    return tape.gradient(term, play).numpy()[0, 0]


def test_the_gradient_on_a_triad_raises_its_key_and_lowers_what_is_outside():
    # dL/dy[c] = p[c] (outside[c] - L), with p the softmax; the keys of C, F and G
    # contain the triad and tie, so the gradient is the mean of theirs.
    weights = np.where(np.isin(np.arange(12), (0, 4, 7)), math.e, 1.0)
    share = weights / weights.sum()
    rows = theory.scale_rows()
    tied = rows[np.isclose(rows @ share, (rows @ share).min())]
    assert {tuple(row) for row in tied} == {tuple(rows[tonic]) for tonic in (0, 5, 7)}
    expected = share * (tied.mean(axis=0) - 5 / (3 * math.e + 9))
    gradient = harmony_gradient(chord(0, 4, 7))
    np.testing.assert_allclose(gradient, expected, atol=1e-6)
    assert (gradient[[0, 4, 7]] < -0.01).all()


@pytest.mark.parametrize("classes", [(), range(12)], ids=["silence", "all_twelve"])
def test_the_gradient_is_zero_where_all_keys_tie(classes):
    np.testing.assert_allclose(harmony_gradient(chord(*classes)), 0.0, atol=1e-7)


def test_scale_rows_are_those_of_the_report():
    rows = theory.scale_rows()
    assert rows.shape == (24, 12)
    np.testing.assert_array_equal(rows[0], [0, 1, 0, 1, 0, 0, 1, 0, 1, 0, 1, 0])
    np.testing.assert_array_equal(rows[12], [0, 1, 0, 0, 1, 0, 1, 0, 0, 1, 0, 1])
    # D major lacks C and F; A minor has the notes of C major.
    assert rows[2, 0] == rows[2, 5] == 1 and rows[2, 1] == rows[2, 6] == 0
    np.testing.assert_array_equal(rows[12 + 9], rows[0])
    assert len({tuple(row) for row in rows}) == 12
    assert len({tuple(row) for row in theory.scale_rows("harmonic")}) == 24
    assert (rows.sum(axis=1) == 5).all()


def test_out_of_key_share_takes_the_best_major_scale():
    # Three Cs and one C sharp: in F, G, C, ... a quarter is outside; only A flat
    # major and D flat major contain both.
    assert theory.out_of_key_share([3, 1] + [0] * 10) == 0.0
    # C, C#, D equally: one of three is outside the best key.
    assert theory.out_of_key_share([2, 2, 2] + [0] * 9) == pytest.approx(1 / 3)
    assert theory.out_of_key_share([1] * 12) == pytest.approx(5 / 12)
    assert theory.out_of_key_share([0] * 12) == 0.0


def two_steps():
    """Two steps of two pitches, and outputs that give probabilities 3/4 and 1/4."""
    current = np.zeros((1, 2, 2, 3), np.float32)
    current[0, 0, 0] = 1, 0, 0.5  # an onset, held on ...
    current[0, 1, 0] = 1, 1, 0.25  # ... and struck again
    current[0, 1, 1] = 1, 0, 1.0  # beside a new one
    previous = np.concatenate([np.zeros_like(current[:, :1]), current[:, :1]], axis=1)
    outputs = {
        "play": tf.constant([[[LN3, -LN3], [LN3, -LN3]]]),
        "replay": tf.fill((1, 2, 2), LN3),
        "volume": tf.fill((1, 2, 2), 0.5),
    }
    return outputs, {"previous": previous, "current": current}


@pytest.mark.parametrize(
    ("mask", "play_nats", "replay_nats", "volume_sum", "steps", "positives"),
    [
        # Step 0: both right, 2 ln 4/3. Step 1: ln 4/3 + ln 4. Replay counts only
        # at the note struck again: ln 4/3.
        (
            [[1.0, 1.0]],
            3 * math.log(4 / 3) + math.log(4),
            math.log(4 / 3),
            0.25**2 + 0.5**2,
            2,
            (2, 2, 3),
        ),
        ([[1.0, 0.0]], 2 * math.log(4 / 3), 0.0, 0.0, 1, (1, 1, 1)),
    ],
    ids=["both_steps", "masked"],
)
def test_step_sums_by_hand(mask, play_nats, replay_nats, volume_sum, steps, positives):
    outputs, batch = two_steps()
    batch["mask"] = tf.constant(mask)
    sums = metrics.step_sums(outputs, batch, model_config("deepj", num_pitches=2))
    sums = {name: float(value) for name, value in sums.items()}
    assert sums["steps"] == steps
    assert sums["play_nats"] == pytest.approx(play_nats, rel=1e-5)
    assert sums["replay_nats"] == pytest.approx(replay_nats, rel=1e-5, abs=1e-7)
    assert sums["volume_loss"] == pytest.approx(volume_sum, rel=1e-5, abs=1e-7)
    found = tuple(sums[k] for k in ("true_positives", "predicted", "sounding"))
    assert found == positives


def test_training_weighs_replay_by_play_alone():
    outputs, batch = two_steps()
    terms = losses.likelihood_terms(outputs, batch["current"])
    # One sounding cell (not replayed), then two (one replayed).
    expected = [[math.log(4), math.log(4 / 3) + math.log(4)]]
    np.testing.assert_allclose(terms["replay"], expected, rtol=1e-5)


def test_f1_is_the_harmonic_mean_of_precision_and_recall():
    assert metrics.f1(2, 4, 3) == pytest.approx(2 * (2 / 4) * (2 / 3) / (2 / 4 + 2 / 3))
    assert metrics.f1(0, 0, 0) == 1.0
    assert metrics.f1(0, 5, 0) == metrics.f1(0, 0, 5) == 0.0


def test_summary_divides_by_steps_and_leaves_out_what_a_model_lacks():
    sums = {
        "steps": 4,
        "play_nats": 8.0,
        "sounding": 5,
        "true_positives": 2,
        "predicted": 3,
        "harmony": 1.0,
    }
    config = model_config("poph", replay=False, volume=False, harmony_weight=2.0)
    figures = metrics.summarize(sums, config)
    assert figures["play_nats_per_step"] == 2.0
    assert figures["replay_nats_per_step"] is None and figures["volume_mse"] is None
    assert figures["loss"] == 2.0 + 2.0 * 0.25
    assert figures["play_f1"] == 0.5
    full = metrics.summarize(
        sums | {"replay_nats": 2.0, "volume_loss": 10.0}, model_config("deepj")
    )
    # Volume's error is a mean over sounding cells; in the loss, over steps.
    assert full["volume_mse"] == 2.0 and full["loss"] == 2.0 + 0.5 + 2.5


def test_the_terms_of_tracks_are_summed_without_those_that_are_given():
    per_track = tf.constant([[[1.0, 2.0, 4.0]]])
    assert float(losses.free_sum(per_track, None)[0, 0]) == 7
    given = tf.constant([[[0.0, 1.0, 0.0]]])
    assert float(losses.free_sum(per_track, given)[0, 0]) == 5


def test_a_voice_chooses_among_its_pitches_and_a_rest():
    # Two steps of three pitches: the second pitch, then a rest; zero logits.
    play = tf.constant([[[0.0, 1.0, 0.0], [0.0, 0.0, 0.0]]])
    nats = losses.voice_nats(play, tf.zeros([1, 2, 3]))
    np.testing.assert_allclose(nats, [[math.log(4), math.log(4)]], rtol=1e-6)
    # A pitch with odds of 3 to 1 against each of the others: 3 of 6.
    logits = tf.constant([[[0.0, math.log(3), 0.0], [0.0, math.log(3), 0.0]]])
    nats = losses.voice_nats(play, logits)
    np.testing.assert_allclose(nats, [[math.log(2), math.log(6)]], rtol=1e-6)
