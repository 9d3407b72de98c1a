"""Models with tracks: what an output may depend on, and that they are distributions."""

import itertools

import keras
import numpy as np
import pytest
import small
import tensorflow as tf

from poph_tf import models
from poph_tf.models import losses
from poph_tf.models.layers.look_ahead import struck_notes
from poph_tf.models.pitch_decoder import PitchDecoder

STEPS = 4


def batch_of(name, num_rows=2, given_share=0.4, seed=0):
    """Arbitrary inputs of whole pieces: `previous` follows from `current`."""
    made, rng = small.model_config(name), np.random.default_rng(seed)
    tracks = made.tracks
    grid = (num_rows, STEPS, len(tracks), small.NUM_PITCHES, 3)
    current = (rng.random(grid) < 0.3).astype(np.float32)
    for k, track in enumerate(tracks):
        if track.voice:
            pitch = rng.integers(0, small.NUM_PITCHES, grid[:2])
            current[:, :, k, :, 0] = np.eye(small.NUM_PITCHES)[pitch]
    return {
        "previous": np.concatenate([np.zeros_like(current[:, :1]), current[:, :-1]], 1),
        "current": current,
        "bar_position": rng.integers(0, 16, grid[:2]).astype(np.int32),
        "bars_left": rng.integers(-1, 9, grid[:2]).astype(np.int32),
        "key": rng.integers(-1, 24, grid[:2]).astype(np.int32),
        "chord": rng.integers(-1, 36, grid[:2]).astype(np.int32),
        "returns": rng.integers(-1, 4, grid[:2]).astype(np.int32),
        "given": (rng.random(grid[:3]) < given_share).astype(np.float32),
        "looks_ahead": np.ones(num_rows, np.float32),
        "style": np.tile(np.eye(len(made.styles), dtype=np.float32)[0], (num_rows, 1)),
    }


def outputs_of(model, inputs):
    """All outputs in one array, [row, time, track, pitch, output]."""
    outputs = model(inputs)
    return np.stack([outputs[key] for key in sorted(outputs)], axis=-1)


@pytest.mark.parametrize("looks_ahead", [0.0, 1.0])
@pytest.mark.parametrize("name", small.TRACK_VARIANTS)
def test_an_output_depends_only_on_the_past_on_what_is_drawn_and_on_what_is_given(
    name, looks_ahead
):
    model, inputs = small.model(name), batch_of(name, 1, seed=2)
    made = model.config
    inputs["looks_ahead"][:] = looks_ahead
    cells = [
        cell
        for cell in np.ndindex(inputs["current"].shape[1:4])
        if cell[2] in (0, 6, 13)
    ]
    many = {k: np.repeat(v, len(cells), axis=0) for k, v in inputs.items()}
    before = outputs_of(model, many)
    for row, (t, track, pitch) in enumerate(cells):
        cell = many["current"][row, t, track, pitch]
        cell[:2] = 1.0 - cell[:2]
        many["previous"][row, 1:] = many["current"][row, :-1]
    moved = np.abs(outputs_of(model, many) - before).max(axis=-1)
    up = -1 if made.pitch_order == "descending" else 1
    for (t, track, pitch), move in zip(cells, moved, strict=True):
        may = np.zeros(move.shape, bool)
        may[t + 1 :] = True
        may[t, track + 1 :] = True
        if inputs["given"][0, t, track]:
            others = np.arange(len(made.tracks)) != track
            may[t, others] = True
            if looks_ahead and made.look_ahead_units:
                may[:] = True
                # The next step is known from its frames.
        if not made.tracks[track].voice:
            may[t, track] |= np.arange(small.NUM_PITCHES) * up > pitch * up
        assert move[~may].max(initial=0.0) == 0.0, (t, track, pitch)
        assert move[t + 1 :].max(initial=1.0) > 0, (t, track, pitch)
        if inputs["given"][0, t, track] and looks_ahead and made.look_ahead_units:
            assert (move[: t + 1].max(axis=(1, 2)) > 0).all(), (t, track, pitch)


def test_steps_with_nothing_given_later_are_exactly_as_with_nothing_given():
    model, inputs = small.model("voices"), batch_of("voices", 3)
    inputs["given"][:] = 0.0
    inputs["given"][2] = 1.0  # a neighbour in the batch
    free = {**inputs, "given": np.zeros_like(inputs["given"])}
    off = {**inputs, "looks_ahead": np.zeros(3, np.float32)}
    expected = outputs_of(model, inputs)[:2]
    for other in (free, off):
        np.testing.assert_array_equal(outputs_of(model, other)[:2], expected)
    later = model.network.look_ahead({k: tf.constant(v) for k, v in inputs.items()})
    assert np.abs(later[:, :2]).max() == 0.0
    assert np.abs(later[:, 2]).max() > 0.0


def test_a_given_note_counts_as_struck_where_the_step_before_is_free():
    # Two steps of one track and one pitch: held from the first to the second.
    current = np.zeros((1, 2, 1, 1, 2), np.float32)
    current[..., 0] = 1.0
    previous = np.concatenate([np.zeros_like(current[:, :1]), current[:, :1]], axis=1)
    for given, struck in (((0, 0), 0.0), ((1, 1), 0.0), ((0, 1), 1.0)):
        given = np.array(given, np.float32).reshape(1, 2, 1)
        notes = struck_notes(*map(tf.constant, (current, previous, given)))
        assert float(notes[0, 1, 0, 0, 1]) == struck


@pytest.mark.parametrize("given", [(), ((2, 0),), ((1, 1), (2, 1))])
def test_the_probabilities_of_all_completions_sum_to_one(given):
    # Two voices, three pitches and rest, three steps: 4^6 pieces at most.
    keras.utils.set_random_seed(3)
    made = small.model_config(
        "voices", tracks=small.VOICES[:2], num_pitches=3, replay=False, volume=False
    )
    model = small.shaken(models.build(made), by=0.5)
    free = [c for c in np.ndindex(3, 2) if c not in given]
    choices = np.array(list(itertools.product(range(4), repeat=len(free))))
    drawn = np.ones((len(choices), 3, 2), int)  # given: the middle pitch
    for place, cell in enumerate(free):
        drawn[:, *cell] = choices[:, place]
    current = np.zeros((len(choices), 3, 2, 3, 3), np.float32)
    current[..., 0] = np.eye(4)[drawn][..., :3]
    mask = np.zeros((len(choices), 3, 2), np.float32)
    for cell in given:
        mask[:, *cell] = 1.0
    inputs = {
        "current": current,
        "previous": np.concatenate([np.zeros_like(current[:, :1]), current[:, :-1]], 1),
        "given": mask,
        "bar_position": np.zeros((len(choices), 3), np.int32),
        "style": np.ones((len(choices), 2), np.float32) / 2,
    }
    terms = losses.likelihood_terms(model(inputs), current, made.tracks, mask)
    total = np.exp(-np.sum(np.asarray(terms["play"], np.float64), axis=1)).sum()
    assert total == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("name", small.TRACK_VARIANTS)
def test_step_by_step_the_outputs_are_those_of_the_whole_piece(name):
    model, inputs = small.model(name), batch_of(name)
    network, expected = model.network, model(inputs)
    inputs = {k: tf.constant(v) for k, v in inputs.items()}
    later = network.look_ahead(inputs) if network.ahead else None
    notes = network.known_notes(inputs)
    embedding, state = network.embed_style(inputs["style"]), network.zero_state(2)
    by_step = ("previous", "bar_position", "bars_left", "key", "chord", "returns")
    for t in range(STEPS):
        step = {k: inputs[k][:, t : t + 1] for k in by_step}
        step |= {"style": inputs["style"]}
        if later is not None:
            step["later"] = later[t : t + 1]
        hidden, state = network.time_axis(step, state)
        entries, features = (
            network.enter_tracks(hidden),
            network.notes(notes[:, t, None]),
        )
        known = {k: inputs[k][:, t : t + 1] for k in ("current", "previous", "given")}
        for k, track in enumerate(model.config.tracks):
            x = network.join_context(k, entries[k], features, known)[0]
            if track.voice:
                heads = network.voice_heads(x)["play"]
            else:
                decoder = PitchDecoder(network, x, embedding)
                heads = _walk(decoder, inputs["current"][:, t, k])
            np.testing.assert_allclose(heads, expected["play"][:, t, k], atol=1e-4)


@pytest.mark.parametrize("name", ["voices", "voice_and_chords"])
def test_in_bfloat16_the_outputs_are_about_those_in_float32(name):
    source, inputs = small.model(name), batch_of(name)
    keras.mixed_precision.set_dtype_policy("mixed_bfloat16")
    try:
        model = models.build(source.config)
    finally:
        keras.mixed_precision.set_dtype_policy("float32")
    model.set_weights(source.get_weights())
    found, expected = (m(inputs)["play"].numpy() for m in (model, source))
    error = np.abs(found - expected).mean() / expected.std()
    # bfloat16 has 8 bits.
    assert found.dtype == np.float32 and 0 < error < 0.02


def _walk(decoder, frame):
    network, state, logits = decoder.network, decoder.zero_state(), []
    frame = network.in_draw_order(network._select_channels(frame), 1)
    drawn = tf.zeros_like(frame[:, 0])
    for index in range(small.NUM_PITCHES):
        heads, state = decoder.step(tf.constant(index), drawn, state)
        drawn = frame[:, index]
        logits.append(heads["play"])
    return network.in_draw_order(tf.stack(logits, axis=1), 1)


@pytest.mark.parametrize("name", small.TRACK_VARIANTS)
def test_every_weight_has_a_gradient_and_a_saved_model_has_the_same_outputs(
    name, tmp_path
):
    model, inputs = small.model(name), batch_of(name)
    inputs["current"][..., 0] = 1.0
    with tf.GradientTape() as tape:
        terms = losses.likelihood_terms(
            model(inputs), inputs["current"], model.config.tracks, inputs["given"]
        )
        loss = tf.add_n([tf.reduce_sum(t) for t in terms.values()])
    gradients = tape.gradient(loss, model.trainable_variables)
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        assert gradient is not None, variable.path
        assert np.abs(gradient).max() > 0, variable.path
    models.save(model, str(tmp_path))
    again = models.load(tmp_path)
    assert again.config == model.config
    np.testing.assert_array_equal(outputs_of(again, inputs), outputs_of(model, inputs))


def test_voice_nats_are_those_of_a_softmax_with_rest():
    logits = tf.math.log(tf.constant([[2.0, 5.0], [2.0, 5.0]]))
    nats = losses.voice_nats(tf.constant([[0.0, 1.0], [0.0, 0.0]]), logits)
    np.testing.assert_allclose(nats, [np.log(8 / 5), np.log(8)], rtol=1e-6)
