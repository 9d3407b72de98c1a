"""Drawing with tracks: voices, given notes, bars left, equality with training."""

import dataclasses
import functools

import mido
import numpy as np
import pytest
import small
import tensorflow as tf

from poph_tf import models
from poph_tf.config import GenerationConfig
from poph_tf.data.matrices import Matrices, TrackCells
from poph_tf.generation import chords, constraints, randomness, tracks
from poph_tf.generation.composer import Composer
from poph_tf.generation.controls import Controls
from poph_tf.generation.request import active_controls
from poph_tf.generation.sampler import Sampler
from poph_tf.models import losses

TRACKS = small.MELODY_AND_CHORDS
SEEDS = [[1, 2], [3, 4], [1, 5]]
NUM_STEPS, BAR_STEPS = 7, 5
GRID = (len(SEEDS), NUM_STEPS, len(TRACKS))


def model():
    return small.model("voice_and_chords")


def givens(seed=0):
    """Returns (given [batch, step, track], cells [batch, step, track, pitch, 3])."""
    rng = np.random.default_rng(seed)
    given = np.zeros(GRID, np.float32)
    given[0, :, 0] = 1  # a whole track
    given[1, 3:5] = 1  # all tracks of a bar
    given[2] = rng.random(GRID[1:]) < 0.4
    cells = np.stack(
        [
            np.stack([piece.cells[:, 36:50] for piece in pieces], axis=1)
            for pieces in (
                [small.random_piece(10 * b + k, NUM_STEPS) for k in range(3)]
                for b in range(len(SEEDS))
            )
        ]
    )
    for k, track in enumerate(TRACKS):
        if track.voice:
            first = np.cumsum(cells[:, :, k, :, :1], axis=2) == 1
            cells[:, :, k] *= first
    return given, cells * given[..., None, None].astype(np.uint8)


def controls(given=None, cells=None, temperature=1.0):
    ones = tf.ones([len(SEEDS)])
    made = Controls(
        seed=tf.constant(SEEDS), temperature=temperature * ones, style=ones[:, None]
    )
    made = made._replace(bars_left=tf.constant(bars_left()))
    if given is None:
        return made
    clamped = [
        constraints.clamp_all(
            np.pad(piece, [(0, 0), (0, 0), (36, 78), (0, 0)]), model().config
        )
        * flags[..., None, None]
        for piece, flags in zip(cells, given, strict=True)
    ]
    inputs = inputs_of(small_frames(cells), given)
    ahead = Sampler(model()).look_ahead(inputs)
    return made._replace(constraints=tf.constant(np.stack(clamped)), look_ahead=ahead)


def small_frames(cells):
    return cells.astype(np.float32) / np.array([1.0, 1.0, 127.0], np.float32)


def bars_left():
    return np.tile(
        (NUM_STEPS - 1) // BAR_STEPS - np.arange(NUM_STEPS) // BAR_STEPS, (3, 1)
    )


def inputs_of(frames, given):
    inputs = small.inputs_of(frames, BAR_STEPS)
    inputs = {k: tf.constant(v) for k, v in inputs.items()}
    return inputs | {
        "given": tf.constant(given),
        "bars_left": tf.constant(bars_left()),
    }


def drawn(asked, record=None):
    sampler = Sampler(model())
    state = sampler.zero_state(len(SEEDS), BAR_STEPS)
    state |= {"log_likelihood": tf.zeros([len(SEEDS)])}
    with pytest.MonkeyPatch.context() as patch:
        if record is not None:
            for module, name in ((tracks, "draw_voice"), (chords, "draw_cell")):
                function = getattr(module, name)

                def recorded(heads, *args, function=function, **known):
                    record.append({k: v.numpy() for k, v in heads.items()})
                    return function(heads, *args, **known)

                patch.setattr(module, name, recorded)
        cells, state = sampler.draw_steps(state, NUM_STEPS, asked)
    return cells.numpy(), state


@pytest.mark.parametrize("with_givens", [False, True])
def test_each_track_is_drawn_from_the_teacher_forced_probability(with_givens):
    given, known = givens() if with_givens else (np.zeros(GRID, np.float32), None)
    record = []
    asked = controls(given, known) if with_givens else controls()
    cells, state = drawn(asked, record)
    if with_givens:
        kept = given[..., None].astype(bool)
        np.testing.assert_array_equal(
            np.where(kept, cells[..., 0], 0), np.where(kept, known[..., 0], 0)
        )
    inputs = inputs_of(small_frames(cells), given)
    outputs = model()(inputs)
    record.reverse()
    for t in range(NUM_STEPS):
        for k, track in enumerate(TRACKS):
            for pitch in [slice(None)] if track.voice else range(14):
                for name, value in record.pop().items():
                    expected = outputs[name][:, t, k, pitch].numpy()
                    if name != "volume":
                        value, expected = tf.sigmoid(value), tf.sigmoid(expected)
                    np.testing.assert_allclose(value, expected, atol=1e-4)
    assert not record


def test_the_likelihood_of_a_piece_is_that_of_its_free_tracks():
    given, known = givens(seed=2)
    graph = tf.function(lambda asked: drawn_in_graph(asked), autograph=False)
    cells, state = graph(controls(given, known))
    inputs = inputs_of(small_frames(cells.numpy()), given)
    outputs = model()(inputs)
    play, before = inputs["current"][..., 0], inputs["previous"][..., 0]
    nats = losses.play_nats_of_tracks(play, outputs["play"], TRACKS)
    possible = losses.replay_possible(play, before)
    replay = inputs["current"][..., 1]
    nats += losses.replay_nats(possible, replay, outputs["replay"])
    total = tf.reduce_sum(losses.free_sum(nats, given), axis=1)
    np.testing.assert_allclose(-state["log_likelihood"], total, rtol=1e-5, atol=1e-4)


def drawn_in_graph(asked):
    sampler = Sampler(model())
    state = sampler.zero_state(len(SEEDS), BAR_STEPS)
    state |= {"log_likelihood": tf.zeros([len(SEEDS)])}
    return sampler.draw_steps(state, NUM_STEPS, asked)


# A voice.


def voice(logits, number=0.5, struck=0.5, temperature=1.0, before=None, **asked):
    """Returns the pitch that a voice draws (number of pitches: a rest), its cells."""
    logits = tf.constant([logits], tf.float32)
    heads = {"play": logits, "replay": tf.zeros_like(logits)}
    old = np.zeros((1, logits.shape[1], 3), np.float32)
    if before is not None:
        old[0, before] = (1, 0, 0.5)
    cells = tracks.draw_voice(
        heads,
        tf.constant(old),
        tf.constant([[number, struck]], tf.float32),
        Controls(None, tf.constant([float(temperature)]), None, **asked),
    ).numpy()[0]
    sounding = np.flatnonzero(cells[:, 0])
    assert len(sounding) <= 1
    return (int(sounding[0]) if len(sounding) else len(cells)), cells


LN2 = np.log(2.0)


def test_a_voice_draws_pitches_from_low_to_high_then_the_rest():
    # Probabilities are 1/4, 1/2 and 1/4 for the rest.
    logits = [0.0, LN2]
    pitches = [voice(logits, n)[0] for n in (0.0, 0.249, 0.251, 0.749, 0.751, 0.999)]
    assert pitches == [0, 0, 1, 1, 2, 2]


def probability(logits, held=None, temperature=1.0, bias=None, density=None, **asked):
    logits = tf.constant([logits], tf.float32)
    before = np.zeros(logits.shape, np.float32)
    if held is not None:
        before[0, held] = 1
    controls = Controls(None, tf.constant([float(temperature)]), None, **asked)
    extra = [x if x is None else tf.constant([x], tf.float32) for x in (bias, density)]
    return tracks.voice_probability(logits, tf.constant(before), controls, *extra)[0]


@pytest.mark.parametrize("held", [None, 0, 2])
def test_at_temperature_1_a_voice_is_the_softmax_of_the_network(held):
    logits = [0.5, -1.0, 2.0]
    softmax = np.exp([*logits, 0.0]) / np.exp([*logits, 0.0]).sum()
    np.testing.assert_allclose(probability(logits, held), softmax, rtol=1e-5)


def test_temperature_chooses_among_moves_and_leaves_rests_and_holds_alone():
    # Weights are 2 (held), 1, 2, and 1 for the rest; squared, the moves are 1 : 4.
    found = probability([LN2, 0.0, LN2], held=0, temperature=0.5)
    np.testing.assert_allclose(found, [2 / 6, 3 / 6 / 5, 12 / 6 / 5, 1 / 6], rtol=1e-5)
    half = {"replay_temperature": tf.constant([0.5])}
    found = probability([LN2, 0.0, LN2], held=0, **half)
    # The odds of sounding are 5 : 1, squared 25 : 1; of holding 2 : 3, squared 4 : 9.
    sounds, holds = 25 / 26, 4 / 13
    expected = [holds, (1 - holds) / 3, (1 - holds) * 2 / 3]
    np.testing.assert_allclose(found[:3], sounds * np.array(expected), rtol=1e-5)


@pytest.mark.parametrize("number", [0.0, 0.5, 0.79])
def test_a_cold_voice_sounds_though_the_rest_is_likelier_than_any_pitch(number):
    # Ten pitches have a probability of 0.08 each, the rest 0.2.
    logits = np.full(10, np.log(0.4))
    logits[3] += 0.01
    assert voice(logits, number, temperature=0.0)[0] == 3


def test_top_p_keeps_the_likeliest_values_that_reach_it():
    # Probabilities are 1/8, 4/8, 2/8, and 1/8 for the rest.
    logits = np.log([1.0, 4.0, 2.0])
    half = {"top_p": tf.constant([0.45])}
    assert [voice(logits, n, **half)[0] for n in (0.0, 0.999)] == [1, 1]
    more = {"top_p": tf.constant([0.7])}
    assert [voice(logits, n, **more)[0] for n in (0.0, 0.66, 0.67, 0.999)] == [
        1,
        1,
        2,
        2,
    ]


def test_a_voice_strikes_again_only_the_pitch_that_sounded():
    (_, struck), (_, held) = (voice([9.0, -9.0], 0, s, before=0) for s in (0.49, 0.51))
    np.testing.assert_allclose(struck[0, :2], [1, 1])
    np.testing.assert_allclose(held[0], [1, 0, 0.5])
    _, other = voice([-9.0, 9.0], 0.5, 0.0, before=0)
    np.testing.assert_allclose(other[:, 1], [0, 0])


def test_a_bias_moves_pitches_and_not_the_rest():
    found = probability([0.0, 0.0], bias=[-1e4, 0.0])
    np.testing.assert_allclose(found, [0.0, 2 / 3, 1 / 3], rtol=1e-6)
    found = probability([0.0, 0.0], held=1, bias=[-1e4, 0.0])
    np.testing.assert_allclose(found, [0.0, 2 / 3, 1 / 3], rtol=1e-6)


def test_density_moves_all_pitches_against_the_rest():
    found = probability([0.0, LN2], density=[np.log(3.0)])
    # The odds of sounding are 3 : 1, times 3.
    np.testing.assert_allclose(found, [0.3, 0.6, 0.1], rtol=1e-5)


def test_each_track_has_numbers_of_its_own_and_the_first_those_of_one_track():
    seed, step = tf.constant([[5, 6]]), tf.constant([7])
    first, second = (randomness.uniforms(seed, step, 3, track=k) for k in (0, 1))
    np.testing.assert_array_equal(first, randomness.uniforms(seed, step, 3))
    assert not np.isin(first, second).any()


def test_xla_and_a_plain_graph_draw_the_same_notes_with_givens():
    asked = controls(*givens(seed=3))
    plain, compiled = (
        tf.function(
            lambda: drawn_in_graph(asked)[0], jit_compile=jit, autograph=False
        )()
        for jit in (False, True)
    )
    np.testing.assert_array_equal(plain, compiled)


# Whole pieces.


def test_a_harmonized_melody_is_kept_and_each_voice_gets_a_track_of_its_own(tmp_path):
    composer = Composer(small.model("voices"), jit_compile=False)
    cells = np.zeros((32, 128, 3), np.uint8)
    for start in range(0, 32, 4):
        cells[start : start + 3, 40 + start % 7] = (1, 0, 70)
    bars = (np.arange(32) % 16).astype(np.uint8)
    melody = TrackCells("soprano", 0, False, cells)
    music = Matrices(cells, bars, time_signatures=((0, 4, 4),), tracks=(melody,))
    first, second = composer.harmonize(music, num_pieces=2, seed=4)
    for piece in (first, second):
        np.testing.assert_array_equal(piece.matrices.tracks[0].cells, cells)
    assert first.matrices != second.matrices
    # Bar 1 is drawn again; the other bar is kept in all tracks.
    again = composer.infill(first.matrices, "1", seed=5).matrices
    for old, new in zip(first.matrices.tracks, again.tracks, strict=True):
        np.testing.assert_array_equal(old.cells[16:, :, 0], new.cells[16:, :, 0])
    assert (again.cells[:16] != first.matrices.cells[:16]).any()
    first.save(tmp_path / "a.mid")
    names = [track.name for track in mido.MidiFile(tmp_path / "a.mid").tracks]
    assert [name for name in names if name] == [t.name for t in small.VOICES]
    tempi = [m for m in mido.MidiFile(tmp_path / "a.mid") if m.type == "set_tempo"]
    assert len(tempi) > 4  # the ritardando


def test_after_a_long_silence_a_voice_rests_less_and_moves_as_before():
    logits = tf.constant([[-7.0, -8.0, -7.5]])
    ones = tf.ones([1])
    made = Controls(seed=tf.constant([[1, 2]]), temperature=ones, style=ones[:, None])
    nothing_held = tf.zeros([1, 3])
    alone = tracks.voice_probability(logits, nothing_held, made)[0].numpy()
    added = tf.constant([5.0 / tracks.SURE_OF_RESTS])
    warm = tracks.warmed(made, added, [TRACKS[0]])
    found = tracks.voice_probability(logits, nothing_held, warm)[0].numpy()
    # The odds of sounding to the power 1 / (1 + 5).
    odds = np.exp([-7.0, -8.0, -7.5]).sum()
    assert alone[-1] == pytest.approx(1 / (1 + odds))
    assert found[-1] == pytest.approx(1 / (1 + odds ** (1 / 6)))
    np.testing.assert_allclose(
        found[:-1] / found[:-1].sum(), alone[:-1] / alone[:-1].sum(), rtol=1e-5
    )
    np.testing.assert_array_equal(warm.temperature, 1.0)
    still = tracks.warmed(made, 0 * added, [TRACKS[0]])
    same = tracks.voice_probability(logits, nothing_held, still)[0]
    np.testing.assert_allclose(same, alone, rtol=1e-6)


@functools.cache
def composed(name, temperature=1.0, **changed):
    """Composes two pieces with changed settings and the same weights; returns cells."""
    source = small.model(name)
    made = models.build(dataclasses.replace(source.config, **changed))
    made.set_weights(source.get_weights())
    settings = {"num_pieces": 2, "num_bars": 1, "seed": 5, "temperature": temperature}
    return [piece.matrices.cells for piece in Composer(made).compose(**settings)]


def test_the_temperature_of_chords_is_a_factor_which_leaves_voices_alone():
    drawn = [composed("voices", chord_temperature=factor) for factor in (1, 2)]
    np.testing.assert_array_equal(*drawn)
    same = composed("chords_descending", 0.5, chord_temperature=2.0)
    np.testing.assert_array_equal(composed("chords_descending"), same)
    other = composed("chords_descending", chord_temperature=2.0)
    assert (np.array(other) != np.array(same)).any()
    # A model without tracks draws chords.
    same = composed("biaxial", 0.5, chord_temperature=2.0)
    np.testing.assert_array_equal(composed("biaxial"), same)


def test_a_model_of_chords_leaves_out_what_is_rare_by_itself():
    for name, least in (("voice_and_chords", 0.1), ("voices", None)):
        made = small.model_config(name, chord_min_probability=0.1)
        found = active_controls(GenerationConfig(), made).get("min_probability")
        assert found == least
    made = small.model_config("voice_and_chords", chord_min_probability=0.1)
    for asked, least in ((0.05, 0.1), (0.2, 0.2)):
        settings = GenerationConfig(min_probability=asked)
        assert active_controls(settings, made)["min_probability"] == least
    rare = composed("chords_descending", chord_min_probability=0.49)
    assert (np.array(rare) != np.array(composed("chords_descending"))).any()
