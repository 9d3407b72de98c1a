"""The form of a piece: letters checked by hand, drawn forms by statistics."""

import itertools

import numpy as np
import pytest
import small
import tensorflow as tf

import poph_tf
from poph_tf import config, models
from poph_tf.data import matrices
from poph_tf.errors import InputError
from poph_tf.generation import form, form_graph
from poph_tf.generation.engine import Engine
from poph_tf.serving.signatures import ServingModule

SEEDS = np.stack([np.zeros(400), np.arange(400)], axis=1).astype(np.int32)
BARS = np.arange(32 * 16) % 16


@pytest.mark.parametrize(
    ("letters", "num_bars", "back"),
    [
        ("AA", 4, [0, 0, 2, 2]),
        ("ABA", 6, [0, 0, 0, 0, 4, 4]),
        ("AABA", 4, [0, 1, 0, 2]),  # the nearest of two
        ("AB", 3, [0, 0, 0]),
        ("AA", 3, [0, 1, 0]),  # the second is longer and continues with new bars
    ],
)
def test_letters_by_hand(letters, num_bars, back):
    assert form.of_letters(letters, num_bars).tolist() == back


def test_a_drawn_form_begins_anew_and_never_before_the_first_bar():
    back = form.drawn(SEEDS, 70)
    assert not back[:, 0].any() and (back <= np.arange(70)).all()
    assert back.min() == 0 and back.max() == 32
    # It depends neither on the piece's length nor on the others of its batch.
    np.testing.assert_array_equal(back[3:5, :9], form.drawn(SEEDS[3:5], 9))
    assert len(np.unique(back, axis=0)) == len(SEEDS)
    assert form.drawn(SEEDS[:2], 0).shape == (2, 0)


@pytest.mark.parametrize(("more", "begins"), [(-1, 1), (0, 0)])
def test_a_run_begins_below_its_threshold(monkeypatch, more, begins):
    numbers = np.zeros((1, 2, 2), np.int64)
    numbers[0, 1, 0] = form.tables()[1][0, 1] + more
    monkeypatch.setattr(form.host_randomness, "form_numbers", lambda *_: numbers)
    assert form.drawn(SEEDS[:1], 2).tolist() == [[0, begins]]


def test_the_graph_draws_the_same_forms():
    for num_bars in (1, 2, 70):
        np.testing.assert_array_equal(
            form_graph.drawn(tf.constant(SEEDS), num_bars), form.drawn(SEEDS, num_bars)
        )


def test_drawn_forms_come_back_as_often_as_those_of_real_songs():
    drawn = form.drawn(SEEDS, 32)
    # 0.27 of bars 2 to 32 return in the songs that the tables were counted on.
    assert abs((drawn[:, 1:] > 0).mean() - 0.274) < 0.03
    runs = [
        (int(key), len([*run])) for row in drawn for key, run in itertools.groupby(row)
    ]
    lengths = np.array([length for key, length in runs if key])
    assert abs((lengths == 1).mean() - 0.62) < 0.06
    distances = np.array([key for key, _ in runs if key])
    assert abs((distances == 8).mean() - 0.2) < 0.05
    assert (distances == 8).sum() > (distances == 7).sum() * 5


def test_steps_follow_the_bars_a_pickup_and_what_is_remembered():
    steps = form.returns("AB" * 8, SEEDS[:2], BARS, 512)
    assert steps.shape == (2, 512)
    np.testing.assert_array_equal(steps[0], steps[1])
    np.testing.assert_array_equal(steps[0], np.where(np.arange(512) < 64, 0, 64))
    assert not form.returns("AB" * 8, SEEDS[:1], BARS, 63).any()
    # A pickup of four steps is its own bar, whose bar line lies before the piece.
    pickup = np.concatenate([np.arange(12, 16), BARS[:48]])
    np.testing.assert_array_equal(
        form.returns("ABAB", SEEDS[:1], pickup, 512)[0],
        np.repeat([0, 0, 32, 32], [4, 16, 16, 16]),
    )
    # Bars of three quarters.
    waltz = np.arange(48) % 12
    np.testing.assert_array_equal(
        form.returns("AABB", SEEDS[:1], waltz, 512)[0], np.repeat([0, 12, 0, 12], 12)
    )


def network():
    """A network that remembers four bars."""
    made = small.model_config("voice_and_chords", time_attention_steps=64)
    return small.shaken(models.build(made))


@pytest.fixture(scope="module")
def engine():
    """An engine whose network ignores the form."""
    model = network()
    kernel = np.zeros(model.network.returning.kernel.shape, np.float32)
    model.network.returning.kernel.assign(kernel)
    return Engine(model)


def composed(engine, **options):
    return engine.compose(config.GenerationConfig(num_pieces=2, num_bars=4, **options))


def test_what_a_network_does_not_read_of_the_form_changes_nothing(engine):
    free = composed(engine, form="free")
    for name in ("", "ABAB"):
        for piece, other in zip(composed(engine, form=name), free, strict=True):
            np.testing.assert_array_equal(piece.cells, other.cells)


def test_the_form_reaches_the_network_where_bars_come_back():
    engine = Engine(network())
    free, planned = (
        [piece.cells for piece in composed(engine, form=name)]
        for name in ("free", "ABAC")
    )
    # Unlike with "free", the network is told which bars are new: pieces differ from
    # the start. Two forms give the same notes as long as their letters agree.
    other = [piece.cells for piece in composed(engine, form="ABCD")]
    for a, b, c in zip(planned, other, free, strict=True):
        np.testing.assert_array_equal(a[:32], b[:32])
        assert (a[32:] != b[32:]).any()
        assert (a != c).any()


def test_what_is_given_has_a_form_of_its_own():
    made = small.model_config("voice_and_chords", time_attention_steps=64)
    melody = np.zeros((80, 128, 3), np.uint8)
    tune = [40, 41, 42, 43]
    for bar, pitches in enumerate([tune, [45, 44, 43, 42], tune, [], tune]):
        for k, pitch in enumerate(pitches):
            start = 16 * bar + 4 * k
            melody[start : start + 4, pitch] = (1, 0, 80)
    bars = (np.arange(80) % 16).astype(np.uint8)
    music = matrices.from_stack(melody[:, None], made.tracks[:1], bars)

    def told(**options):
        asked = config.GenerationConfig(
            num_pieces=2, music=music, task="accompany", **options
        )
        return asked.resolve(made).returns

    expected = np.repeat([0, 0, 32, -1, 32], 16)
    np.testing.assert_array_equal(told(), [expected, expected])
    assert told(form="free") is None
    np.testing.assert_array_equal(
        told(form="ABCDA")[0], np.repeat([0, 0, 0, 0, 64], 16)
    )


def test_the_signature_composes_with_the_same_form():
    model = network()
    module = ServingModule(model, config.Limits(max_steps=64))
    seeds = np.array([[0, 0], [0, 1]], np.int32)
    # Step by step without a graph takes ten times as long.
    found = tf.function(module.compose, autograph=False)(
        seed=tf.constant(seeds),
        num_steps=tf.constant([64, 64]),
        temperature=tf.ones([2]),
        style=tf.ones([2, 1]),
    )
    low = model.config.min_pitch
    pieces = composed(Engine(model, jit_compile=False))
    free = composed(Engine(model, jit_compile=False), form="free")
    for k, piece in enumerate(pieces):
        play = piece.stack(model.config.tracks)[:, :, low : low + small.NUM_PITCHES, 0]
        np.testing.assert_array_equal(found["play"][k], play)
        assert (piece.cells != free[k].cells).any()


def test_forms_that_say_nothing_are_refused():
    for wrong in ("A", "aaba", "A A", "FREE!", "A" * 65):
        with pytest.raises(InputError, match="AABA"):
            config.GenerationConfig(form=wrong)
    engine = Engine(small.model("voices"))
    with pytest.raises(InputError, match="form=AABA"):
        composed(engine, form="AABA")
    assert composed(engine, form="free")
    with pytest.raises(InputError, match="5 sections"):
        composed(Engine(small.model("voice_and_chords")), form="AABAC")


def test_the_pretrained_pop_model_repeats_what_its_form_repeats():
    composer = poph_tf.load("pop909")
    kept = {"num_bars": 8, "num_pieces": 4, "seed": 3}
    share = {}
    for name in ("AA", "AB"):
        pieces = composer.compose(form=name, **kept)
        share[name] = np.mean([same_onsets(piece, 64) for piece in pieces])
    assert share["AA"] > 2 * share["AB"]


def same_onsets(piece, back):
    """The share of onsets that are the same `back` steps apart."""
    play = np.stack([track.cells[..., 0] > 0 for track in piece.matrices.tracks])
    again = np.stack([track.cells[..., 1] > 0 for track in piece.matrices.tracks])
    onsets = play & (~np.roll(play, 1, axis=1) | again)
    first, second = onsets[:, :back], onsets[:, back : 2 * back]
    return (first & second).sum() / max((first | second).sum(), 1)
