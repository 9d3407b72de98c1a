"""Tests of the trials that measure controls, on pieces made by hand."""

import numpy as np
import pytest
import small

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
    """Composes exactly what it is asked for: notes per step, key and style."""

    def __init__(self):
        self.asked = []

    def compose(self, settings):
        self.asked.append(settings)
        if settings.style:
            return [melody(settings.style, 100 + k) for k in range(settings.num_pieces)]
        if settings.key:
            outside = [63] * round(4 - settings.key_strength)
            return [piece([62, 64, 66, 67, *outside])] * settings.num_pieces
        together = np.zeros((8, 128, 3), np.uint8)
        together[:, 60 : 60 + int(settings.density)] = (1, 0, 80)
        made = Matrices(
            cells=together, bar_position=np.arange(8, dtype=np.uint8), tempo_qpm=120.0
        )
        return [made] * settings.num_pieces


SETTINGS = GenerationConfig(num_pieces=3, num_bars=1, seed=5)


def trials(composer=None):
    return control_trials.Trials((composer or FakeComposer()).compose, SETTINGS)


def test_densities_are_those_of_the_pieces():
    composer = FakeComposer()
    rows = trials(composer).density((2.0, 5.0))
    assert [row["mean"] for row in rows] == [2.0, 5.0]
    assert {settings.seed for settings in composer.asked} == {5}


def test_shares_outside_the_key_are_those_of_the_pieces():
    rows = trials().key((0.0, 4.0))
    # D, E, F# and G lie in D major; Eb, four times or never, does not.
    assert [row["mean"] for row in rows] == [0.5, 0.0]


def test_a_classifier_names_the_styles_that_it_was_fitted_to():
    real = [{s: [melody(s, k + n) for n in range(8)] for s in STYLES} for k in (0, 20)]
    figures = trials().style(*real)
    assert figures["chance"] == 0.5
    assert figures["held_out"]["all"] == 1.0
    assert figures["composed"] == {"scale": 1.0, "thirds": 1.0, "all": 1.0}
    # Names that belong to the other style count as wrong.
    swapped = dict(zip(STYLES, (real[1]["thirds"], real[1]["scale"]), strict=True))
    figures = trials().style(real[0], swapped)
    assert figures["held_out"]["all"] == 0.0


def test_features_do_not_depend_on_the_key():
    low, high = piece([60, 64, 67, 65, 60]), piece([65, 69, 72, 70, 65])
    np.testing.assert_array_equal(
        control_trials.features(low), control_trials.features(high)
    )


def test_one_style_leaves_nothing_to_recognize():
    pieces = {"any": [melody("scale", 1)]}
    with pytest.raises(InputError, match="one style"):
        trials().style(pieces, pieces)


def test_real_pieces_come_by_style_and_none_may_be_missing(tmp_path):
    split = [small.random_piece(k, 16) for k in range(4)]
    splits = {"train": split, "test": split[:2]}
    data_dir = small.write_data_set(tmp_path / "data", splits, styles=STYLES)
    train, test = control_trials.read_real(data_dir, STYLES)
    assert train == {"scale": split[::2], "thirds": split[1::2]}
    assert {style: len(group) for style, group in test.items()} == dict.fromkeys(
        STYLES, 1
    )
    with pytest.raises(InputError, match="each style of the model; it lacks hymns"):
        control_trials.read_real(data_dir, ("scale", "hymns"))


def test_all_trials_run_together_and_styles_only_with_real_pieces():
    figures = trials().run()
    assert (figures["num_pieces"], figures["num_bars"]) == (3, 1)
    assert [row["asked"] for row in figures["density"]] == [2.0, 3.0, 4.0, 5.0]
    assert len(figures["key"]) == 4 and "style" not in figures


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
