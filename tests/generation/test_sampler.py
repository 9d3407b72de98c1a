"""The sampler: what it draws, from which numbers, and that it equals the model."""

import functools

import numpy as np
import pytest
import small
import tensorflow as tf

from poph_tf.generation import chords
from poph_tf.generation.controls import Controls
from poph_tf.generation.sampler import Sampler

BAR_STEPS = 5  # per bar in these tests, so that bars end within a few steps
NUM_STEPS = 7  # more than a bar and more than attention along time looks back
SEEDS = [[1, 2], [3, 4], [1, 5]]


def controls(config, seeds=SEEDS, temperature=1.0):
    shares = np.tile(np.array(config.style_shares, np.float32), (len(seeds), 1))
    return Controls(
        seed=tf.constant(seeds, tf.int32),
        temperature=tf.fill([len(seeds)], float(temperature)),
        style=tf.constant(shares),
    )


@functools.cache
def compiled(name):
    """The sampler's loop as one graph, for any number of pieces and steps."""
    return tf.function(
        Sampler(small.model(name)).draw_steps, reduce_retracing=True, autograph=False
    )


def draw(name, num_steps, state=None, **options):
    """Draws with a compiled graph: uint8 [piece, time, pitch, 3] and the state."""
    sampler = Sampler(small.model(name))
    asked = controls(sampler.config, **options)
    if state is None:
        state = sampler.zero_state(len(asked.seed), BAR_STEPS)
    cells, state = compiled(name)(state, tf.constant(num_steps), asked)
    return cells.numpy(), state


@functools.cache
def drawn_in_python(name):
    """Draws `NUM_STEPS` steps outside any graph, so that the heads can be inspected.

    Returns:
        (uint8 [piece, time, pitch, 3], list of the heads' outputs at each cell, in
        the order in which cells were drawn).
    """
    heads, draw_cell = [], chords.draw_cell

    def record(given, **known):
        heads.append({name: value.numpy() for name, value in given.items()})
        return draw_cell(given, **known)

    sampler = Sampler(small.model(name))
    state = sampler.zero_state(len(SEEDS), BAR_STEPS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chords, "draw_cell", record)
        cells = sampler.draw_steps(state, NUM_STEPS, controls(sampler.config))[0]
    return cells.numpy(), heads


def to_frames(cells):
    return cells.astype(np.float32) / np.array([1.0, 1.0, 127.0], np.float32)


# The sampler equals the model.


@pytest.mark.parametrize("name", small.VARIANTS)
def test_each_cell_is_drawn_from_the_teacher_forced_probability(name):
    model = small.model(name)
    cells, drawn_heads = drawn_in_python(name)
    inputs = small.inputs_of(to_frames(cells), BAR_STEPS, model.config.style_shares)
    outputs = model(inputs)
    assert 0.1 < cells[..., 0].mean() < 0.9  # so that notes have an effect
    order = np.arange(small.NUM_PITCHES)
    if model.config.pitch_order == "descending":
        order = order[::-1]
    places = [(t, n) for t in range(NUM_STEPS) for n in order]
    assert len(drawn_heads) == len(places)
    for (t, n), heads in zip(places, drawn_heads, strict=True):
        assert set(heads) == set(outputs)
        for key, value in heads.items():
            expected = outputs[key][:, t, n].numpy()
            if key != "volume":
                value, expected = tf.sigmoid(value), tf.sigmoid(expected)
            np.testing.assert_allclose(value, expected, atol=1e-4, err_msg=f"{t} {n}")


@pytest.mark.parametrize("name", small.VARIANTS)
def test_drawn_frames_are_canonical(name):
    config = small.model_config(name)
    cells, _ = drawn_in_python(name)
    play, replay, volume = np.moveaxis(cells.astype(int), -1, 0)
    before = np.concatenate([np.zeros_like(play[:, :1]), play[:, :-1]], axis=1)
    assert set(np.unique(play)) == {0, 1} and set(np.unique(replay)) <= {0, 1}
    assert (replay <= play * before).all()
    assert ((volume > 0) == (play > 0)).all() and volume.max() <= 127
    held = (play * before * (1 - replay))[:, 1:] > 0
    np.testing.assert_array_equal(volume[:, 1:][held], volume[:, :-1][held])
    assert held.any()
    assert replay.any() == config.replay
    if not config.volume:
        assert set(np.unique(volume)) == {0, chords.DEFAULT_VOLUME}


CARRIED = [
    "poph",
    "poph2",
    "attention_everywhere_descending",
    "attention_in_place_of_pitch_and_per_pitch",
    "tp_lstm_nade_with_attention_by_frames",
]


@pytest.mark.parametrize("name", CARRIED)
def test_a_compiled_loop_draws_the_same_notes(name):
    np.testing.assert_array_equal(draw(name, NUM_STEPS)[0], drawn_in_python(name)[0])


def test_xla_draws_the_same_notes():
    name = "attention_everywhere_descending"
    sampler = Sampler(small.model(name))
    asked = controls(sampler.config)
    run = tf.function(
        lambda state: sampler.draw_steps(state, NUM_STEPS, asked)[0],
        jit_compile=True,
        autograph=False,
    )
    cells = run(sampler.zero_state(len(SEEDS), BAR_STEPS))
    np.testing.assert_array_equal(cells, drawn_in_python(name)[0])


# A piece does not depend on others.


@pytest.mark.parametrize("name", CARRIED)
def test_a_piece_keeps_its_notes_whatever_is_beside_it_and_however_long(name):
    together = draw(name, 9)[0]
    np.testing.assert_array_equal(draw(name, 4)[0], together[:, :4])
    for piece, seed in enumerate(SEEDS):
        alone = draw(name, 9, seeds=[seed])[0]
        np.testing.assert_array_equal(alone[0], together[piece])
    turned = draw(name, 9, seeds=SEEDS[::-1])[0]
    np.testing.assert_array_equal(turned[::-1], together)
    assert len({piece.tobytes() for piece in together}) == 3


@pytest.mark.parametrize("name", CARRIED)
def test_chunks_join_to_what_one_call_draws(name):
    first, state = draw(name, 4)
    second, state = draw(name, 1, state)
    third, state = draw(name, 4, state)
    whole, after = draw(name, 9)
    np.testing.assert_array_equal(np.concatenate([first, second, third], 1), whole)
    np.testing.assert_array_equal(state["step"], [9, 9, 9])
    np.testing.assert_array_equal(state["bar_position"], [9 % BAR_STEPS] * 3)
    for a, b in zip(tf.nest.flatten(state), tf.nest.flatten(after), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


@pytest.mark.parametrize("name", CARRIED)
@pytest.mark.parametrize("num_prefilled", [1, 5])
def test_drawing_after_prefill_continues_as_if_it_had_been_drawn(name, num_prefilled):
    whole, after = draw(name, 9)
    sampler = Sampler(small.model(name))
    bars = np.tile(np.arange(num_prefilled + 1) % BAR_STEPS, (3, 1)).astype(np.int32)
    state = sampler.prefill(
        sampler.zero_state(3, BAR_STEPS),
        tf.constant(to_frames(whole[:, :num_prefilled])),
        tf.constant(bars),
        controls(sampler.config).style,
    )
    rest, state = draw(name, 9 - num_prefilled, state)
    np.testing.assert_array_equal(rest, whole[:, num_prefilled:])
    for a, b in zip(tf.nest.flatten(state), tf.nest.flatten(after), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


@pytest.mark.parametrize(
    ("already", "sounding", "silent"),
    [(0, [], 4), (7, [], 11), (7, [3], 0), (7, [0], 3), (0, [0, 2], 1)],
)
def test_prefill_counts_silent_steps(already, sounding, silent):
    model = small.model("biaxial")
    sampler = Sampler(model)
    frames = np.zeros((1, 4, small.NUM_PITCHES, 3), np.float32)
    frames[:, sounding, 2, 0] = 1.0
    state = sampler.zero_state(1) | {"silent_steps": tf.constant([already])}
    state = sampler.prefill(
        state, tf.constant(frames), tf.zeros((1, 5), tf.int32), tf.ones((1, 1))
    )
    np.testing.assert_array_equal(state["silent_steps"], [silent])


# The drawn values.


def heads(play=0.0, replay=0.0, volume=0.5, rows=1):
    values = {"play": play, "replay": replay, "volume": volume}
    return {name: tf.fill([rows], float(value)) for name, value in values.items()}


def cell(given, before=(0, 0, 0), numbers=(0.5, 0.5), temperature=1.0):
    drawn = chords.draw_cell(
        given,
        tf.constant([before], tf.float32),
        tf.constant([numbers], tf.float32),
        Controls(None, tf.constant([float(temperature)]), None),
    )
    return drawn.numpy()[0]


LN3 = np.log(3.0)


def test_a_note_is_drawn_where_the_number_is_below_its_probability():
    assert cell(heads(play=LN3), numbers=(0.749, 0))[0] == 1
    assert cell(heads(play=LN3), numbers=(0.751, 0))[0] == 0
    # At temperature 1/2 its odds are squared: 9/10.
    assert cell(heads(play=LN3), numbers=(0.899, 0), temperature=0.5)[0] == 1
    assert cell(heads(play=LN3), numbers=(0.901, 0), temperature=0.5)[0] == 0


def test_a_replay_needs_a_note_that_sounded():
    given = heads(play=9.0, replay=9.0)
    assert cell(given, before=(1, 0, 0.5))[1] == 1
    assert cell(given, before=(0, 0, 0))[1] == 0
    assert cell(heads(play=-9.0, replay=9.0), before=(1, 0, 0.5))[1] == 0


@pytest.mark.parametrize(
    ("head", "expected"), [(0.5, 64), (-3.0, 1), (0.0, 1), (7.0, 127), (0.25, 32)]
)
def test_volume_is_a_velocity_from_1_to_127(head, expected):
    volume = cell(heads(play=9.0, replay=-9.0, volume=head))[2]
    assert volume * 127 == pytest.approx(expected, abs=1e-4)


def test_a_held_note_keeps_its_volume_and_an_onset_takes_a_new_one():
    before = (1, 0, 0.25)
    assert cell(heads(play=9.0, replay=-9.0, volume=1.0), before)[2] == 0.25
    assert cell(heads(play=9.0, replay=9.0, volume=1.0), before)[2] == 1.0


@pytest.mark.parametrize("number", [0.0001, 0.9999])
def test_at_temperature_0_the_likelier_value_is_drawn(number):
    numbers = (number, number)
    likely = cell(heads(play=0.01, replay=0.01), (1, 0, 1), numbers, temperature=0)
    unlikely = cell(heads(play=-0.01), (1, 0, 1), numbers, temperature=0)
    not_again = cell(heads(play=1, replay=-0.01), (1, 0, 1), numbers, temperature=0)
    assert likely[0] == likely[1] == 1 and unlikely[0] == 0
    assert not_again[0] == 1 and not_again[1] == 0


def test_cold_pieces_of_different_seeds_are_the_same():
    cells = draw("poph", 6, temperature=0.0)[0]
    np.testing.assert_array_equal(cells[0], cells[1])
    np.testing.assert_array_equal(cells[0], cells[2])


@pytest.fixture
def temperatures(monkeypatch):
    """The temperature of each step drawn, for a piece that stays silent."""
    seen = []

    def silence(self, hidden, state, controls):
        seen.append(float(controls.temperature[0]))
        return tf.zeros_like(state["frame"]), None

    monkeypatch.setattr(Sampler, "draw_frame", silence)
    return seen


def test_after_sixteen_silent_steps_each_step_is_a_tenth_warmer(temperatures):
    sampler = Sampler(small.model("biaxial"))
    asked = controls(sampler.config, SEEDS[:1])
    sampler.draw_steps(sampler.zero_state(1), 20, asked)
    warm = [1.1, 1.2, 1.3, 1.4]
    np.testing.assert_allclose(temperatures, [1.0] * 16 + warm, rtol=1e-6)


@pytest.mark.parametrize("warmth", [0.0, 0.5])
def test_silence_temperature_sets_how_much_warmer(temperatures, warmth):
    sampler = Sampler(small.model("biaxial"))
    asked = controls(sampler.config, SEEDS[:1])
    asked = asked._replace(silence_temperature=tf.constant([warmth]))
    sampler.draw_steps(sampler.zero_state(1), 18, asked)
    warm = [1.0 + warmth, 1.0 + 2 * warmth]
    np.testing.assert_allclose(temperatures, [1.0] * 16 + warm, rtol=1e-6)


def test_a_note_ends_the_silence():
    name = "biaxial"
    state = Sampler(small.model(name)).zero_state(3) | {
        "silent_steps": tf.constant([5, 9, 30])
    }
    cells, after = draw(name, 1, state)
    silent = ~cells[..., 0].any(axis=(1, 2))
    expected = np.where(silent, np.array([6, 10, 31]), 0)
    np.testing.assert_array_equal(after["silent_steps"], expected)
    assert not silent.all()
