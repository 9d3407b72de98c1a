"""Tests of the trials that measure steering, on pieces made by hand."""

import types

import numpy as np
import pytest

from poph_tf.config import GenerationConfig
from poph_tf.data.matrices import Matrices
from poph_tf.errors import InputError
from poph_tf.evaluation import control_trials

STYLES = ("scale", "thirds")


def piece(pitches, steps=1):
    """One pitch after another, each for `steps` steps."""
    cells = np.zeros((len(pitches) * steps, 128, 3), np.uint8)
    for k, pitch in enumerate(pitches):
        cells[k * steps : (k + 1) * steps, pitch] = (1, 0, 80)
    bar_position = (np.arange(len(cells)) % 16).astype(np.uint8)
    return Matrices(cells=cells, bar_position=bar_position, tempo_qpm=120.0)


def melody(style, seed):
    random = np.random.default_rng(seed)
    step = {"scale": (1, 2), "thirds": (3, 4)}[style]
    moves = random.choice(step, 40) * random.choice((-1, 1), 40)
    pitches = np.clip(60 + np.cumsum(moves), 40, 80)
    return piece(pitches.tolist(), steps=1 if style == "scale" else 2)


class FakeComposer:
    """Gives what it is asked for: notes at a time, key and style, to the letter."""

    config = types.SimpleNamespace(styles=STYLES)

    def __init__(self):
        self.asked = []

    def compose(self, wishes):
        self.asked.append(wishes)
        if wishes.style:
            return [melody(wishes.style, 100 + k) for k in range(wishes.num_pieces)]
        if wishes.key:
            outside = [63] * round(4 - wishes.key_strength)
            return [piece([62, 64, 66, 67, *outside])] * wishes.num_pieces
        together = np.zeros((8, 128, 3), np.uint8)
        together[:, 60 : 60 + int(wishes.density)] = (1, 0, 80)
        made = Matrices(
            cells=together, bar_position=np.arange(8, dtype=np.uint8), tempo_qpm=120.0
        )
        return [made] * wishes.num_pieces


WISHES = GenerationConfig(num_pieces=3, num_bars=1, seed=5)


def test_densities_are_those_of_the_pieces():
    composer = FakeComposer()
    rows = control_trials.density_trial(composer, WISHES, (2.0, 5.0))
    assert [row["mean"] for row in rows] == [2.0, 5.0]
    assert {wishes.seed for wishes in composer.asked} == {5}


def test_shares_outside_the_key_are_those_of_the_pieces():
    rows = control_trials.key_trial(FakeComposer(), WISHES, (0.0, 4.0))
    # D, E, F# and G lie in D major; Eb, four times or never, does not.
    assert [row["mean"] for row in rows] == [0.5, 0.0]


def test_a_classifier_names_the_style_that_it_has_seen():
    real = [{s: [melody(s, k + n) for n in range(8)] for s in STYLES} for k in (0, 20)]
    figures = control_trials.style_trial(FakeComposer(), WISHES, *real)
    assert figures["chance"] == 0.5
    assert figures["held_out"]["all"] == 1.0
    assert figures["composed"] == {"scale": 1.0, "thirds": 1.0, "all": 1.0}
    # Names that belong to the other style are told apart from the right ones.
    swapped = dict(zip(STYLES, (real[1]["thirds"], real[1]["scale"]), strict=True))
    figures = control_trials.style_trial(FakeComposer(), WISHES, real[0], swapped)
    assert figures["held_out"]["all"] == 0.0


def test_features_do_not_depend_on_the_key():
    low, high = piece([60, 64, 67, 65, 60]), piece([65, 69, 72, 70, 65])
    np.testing.assert_array_equal(
        control_trials.features(low), control_trials.features(high)
    )


def test_one_style_leaves_nothing_to_recognise():
    composer = FakeComposer()
    composer.config = types.SimpleNamespace(styles=("any",))
    with pytest.raises(InputError, match="one style"):
        control_trials.style_trial(composer, WISHES, {}, {})


def test_tables_hold_the_figures():
    rows = [{"asked": 2.0, "mean": 1.9, "deviation": 0.1}]
    style = {
        "chance": 0.5,
        "held_out": {"scale": 1.0},
        "composed": {"scale": 0.75, "all": 0.75},
    }
    text = control_trials.table({"density": rows, "key": rows, "style": style})
    assert "| 2 | 1.900 ± 0.100 |" in text
    assert "| scale | 1.00 | 0.75 |" in text
