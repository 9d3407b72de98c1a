"""The same seed gives the same pieces as those kept in golden/pieces.npz.

They were composed by the code of commit d7e4c22: every preset at a small size,
`scores` with every task and control; those of `pop909` when it got tracks. Those of
`chorales`, with the notes of each voice, were drawn at commit 04d09b5 by the converted
step. To make them for new weights:

    PYTHONPATH=tests python tests/generation/test_golden.py
"""

import functools
import operator

import numpy as np
import pytest
import small
import tunes

from poph_tf import models
from poph_tf.config import GenerationConfig
from poph_tf.data import cells, matrices
from poph_tf.generation.engine import Engine
from poph_tf.generation.light_engine import LightEngine
from poph_tf.models import pretrained

GOLDEN = np.load(small.TESTS / "golden" / "pieces.npz")
CHORALES = small.TESTS / "golden" / "chorales.npz"
PRESETS = (
    "tp_lstm_nade",
    "biaxial",
    "deepj",
    "poph",
    "poph2",
    "attention_everywhere_descending",
    "attention_by_frames",
)
MELODY = small.random_piece(5, 32, low=60, high=64)
BASS = small.random_piece(7, 32, low=38, high=44)
PRIMER = small.random_piece(6, 32, low=40, high=50)
LONG_PRIMER = small.random_piece(6, 64, low=40, high=50)
TASKS = {
    "compose": {},
    "temperature": {"temperature": 0.7, "replay_temperature": 1.3},
    "cold": {"temperature": 0.0},
    "style": {"style": "bach"},
    "style_schedule": {"style": "0: bach; 1: monteverdi"},
    "style_mixture": {"style": "bach:0.7,monteverdi:0.3"},
    "continue": {"primer": PRIMER},
    "continue_without_primer": {"primer": PRIMER, "keep_primer": False},
    "from_bar": {"primer": PRIMER, "from_bar": 2, "metre": "3/4"},
    "redraw": {"primer": LONG_PRIMER, "redraw": "2-2", "particles": 8},
    "fix_melody": {"fix": MELODY, "particles": 8},
    "fix_bass": {"fix": BASS, "fix_as": "bass", "particles": 4},
    "fix_any": {"fix": MELODY, "fix_as": "any", "particles": 4},
    "best_of_key": {"best_of": 3},
    "best_of_likelihood": {"best_of": 3, "best_by": "likelihood"},
    "best_of_fix": {"best_of": 2, "particles": 4, "fix": MELODY},
    "key": {"key": "Bb major", "key_strength": 3.0},
    "key_auto": {"key": "auto"},
    "density": {"density": 3.0},
    "cut": {"min_probability": 0.1},
    "conservativity": {"probability_exponent": 1.5},
    "silent_warmth": {"silence_temperature": 0.5, "temperature": 0.5},
    "range": {"min_pitch": 48, "max_pitch": 72},
    "metre": {"metre": "6/8", "tempo_qpm": 90.0},
    "long": {"style": "bach", "num_pieces": 1, "num_bars": 33},
}
TUNE = tunes.tune_piece([67, 67, 69, 71, 72, 71, 69, 67])
CHORALE_TASKS = {
    "compose": {},
    "harmonize": {"task": "harmonize", "music": TUNE},
    "continue": {"task": "continue", "music": TUNE},
}


@functools.cache
def engine_of(name):
    return Engine(models.load(name))


def compose(engine, **settings):
    return engine.compose(GenerationConfig(**settings))


def assert_equal(name, pieces):
    for k, piece in enumerate(pieces):
        notes = np.stack(matrices.spans(matrices.canonical(piece).cells), axis=1)
        np.testing.assert_array_equal(notes, GOLDEN[f"{name}/{k}/notes"], name)
        bars = GOLDEN[f"{name}/{k}/bar_position"]
        np.testing.assert_array_equal(piece.bar_position, bars, name)
        assert piece.tempo_qpm == GOLDEN[f"{name}/{k}/meta"][1]


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_draws_the_same_pieces_as_before(name):
    pieces = compose(Engine(small.model(name)), num_pieces=2, num_bars=2, seed=3)
    assert_equal(f"preset/{name}", pieces)


@pytest.mark.parametrize("task", TASKS)
def test_scores_composes_the_same_pieces_as_before(task):
    settings = {"num_pieces": 2, "num_bars": 3, "seed": 11} | TASKS[task]
    pieces = compose(engine_of("scores"), **settings)
    assert_equal(f"scores/{task}", pieces)


@pytest.mark.parametrize("task", ["compose", "continue", "density", "key"])
def test_pop909_composes_the_same_pieces_as_before(task):
    settings = {"num_pieces": 2, "num_bars": 3, "seed": 11} | TASKS[task]
    if task == "continue":
        # At that time its last note counted as an ending.
        settings["key"] = "B minor"
    pieces = compose(engine_of("pop909"), **settings)
    assert_equal(f"pop909/{task}", pieces)


def chorales_by_voice(task):
    """Returns start, end and pitch of the notes of each voice and piece, by name."""
    engine = LightEngine(pretrained.path_of("chorales"))
    settings = {"num_pieces": 2, "num_bars": 3, "seed": 11} | CHORALE_TASKS[task]
    return {
        f"{task}/{k}/{track.name}": np.stack(cells.spans(track.cells)[:3], axis=1)
        for k, piece in enumerate(compose(engine, **settings))
        for track in piece.tracks
    }


@pytest.mark.parametrize("task", CHORALE_TASKS)
def test_chorales_draws_the_same_voices_as_before(task):
    golden = np.load(CHORALES)
    found = chorales_by_voice(task)
    assert set(found) == {name for name in golden if name.startswith(task)}
    for name, notes in found.items():
        np.testing.assert_array_equal(notes, golden[name], name)


if __name__ == "__main__":
    voices = [chorales_by_voice(task) for task in CHORALE_TASKS]
    np.savez_compressed(CHORALES, **functools.reduce(operator.or_, voices))
