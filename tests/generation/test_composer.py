"""The notebook's view of poph_tf: load, compose, stream, save."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest

import poph_tf
from poph_tf import config, models
from poph_tf.data import matrices, midi
from poph_tf.errors import InputError
from poph_tf.generation import composer


@pytest.fixture(scope="module")
def musician(tmp_path_factory):
    keras.utils.set_random_seed(3)
    model = models.build(
        config.preset("deepj", num_pitches=24, num_time_units=8, num_pitch_units=8)
    )
    folder = tmp_path_factory.mktemp("model")
    models.save(model, str(folder))
    return poph_tf.load(str(folder))


def test_a_loaded_model_composes_the_bars_asked_for(musician):
    pieces = musician.compose(bars=3, pieces=2, seed=5)
    assert [len(piece.matrices) for piece in pieces] == [48, 48]
    assert pieces[0].matrices != pieces[1].matrices
    alone = musician.compose(bars=3, seed=5)
    assert (
        isinstance(alone, composer.Composition) and alone.matrices == pieces[0].matrices
    )


def test_a_notebook_is_shown_the_piano_roll_as_a_picture(musician):
    picture = musician.compose(bars=1).plot()
    assert picture.data.startswith(b"\x89PNG")


def test_a_stream_gives_the_same_bars_as_composing_at_once(musician):
    whole = musician.compose(bars=6, seed=2).matrices.cells
    bars = list(musician.stream(bars=6, seed=2))
    assert [len(bar) for bar in bars] == [16] * 6
    low = musician.model.config.min_pitch
    np.testing.assert_array_equal(np.concatenate(bars), whole[:, low : low + 24])


def test_a_saved_piece_is_read_back_as_the_same_music(musician, tmp_path):
    piece = musician.compose(bars=4, seed=1)
    piece.save(tmp_path / "piece.mid")
    read = matrices.from_sequence(midi.read(str(tmp_path / "piece.mid")))
    np.testing.assert_array_equal(read.cells, piece.matrices.cells[: len(read)])
    assert not piece.matrices.cells[len(read) :].any()


def test_a_notebook_is_shown_the_page_in_a_frame(musician):
    shown = musician.compose(bars=1)._repr_html_()
    assert shown.startswith("<iframe srcdoc=")
    assert "<script>" not in shown  # the page is escaped inside its attribute


def test_what_a_notebook_says_of_them_is_what_they_are(musician):
    assert repr(musician) == "<Composer who composes in any>"
    cells = np.zeros((32, 128, 3), np.uint8)
    cells[:4, [60, 64], 0] = cells[8:12, 60, 0] = 1
    piece = matrices.Matrices(cells, np.arange(32, dtype=np.uint8) % 16)
    said = repr(composer.Composition(piece, musician.model.config))
    assert said == "<Composition of 32 steps, 3 notes>"


def test_loading_says_nothing_of_what_the_machine_lacks():
    code = "import poph_tf; print(poph_tf.load('bach').compose(bars=1))"
    environment = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.stdout.startswith("<Composition of 16 steps, ")
    assert done.stderr == ""


def test_an_unknown_wish_or_ending_is_refused_by_name(musician, tmp_path):
    with pytest.raises(InputError, match="no wish 'tempo'"):
        musician.compose(tempo=90)
    with pytest.raises(InputError, match="must end in one of"):
        composer.Composition(None, None).save(tmp_path / "piece.xyz")


@pytest.mark.parametrize("name", ["num_bars", "num_pieces", "volume"])
def test_wishes_that_are_called_otherwise_here_are_named(name):
    musician = composer.Composer.__new__(composer.Composer)
    musician.style = ""
    with pytest.raises(InputError, match=f"no wish '{name}'"):
        musician.compose(bars=1, **{name: 1})
