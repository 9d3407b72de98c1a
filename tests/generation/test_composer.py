"""Composing from Python: load, compose, stream, save."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import small

import poph_tf
from poph_tf import config, models
from poph_tf.data import matrices, midi
from poph_tf.errors import InputError
from poph_tf.generation.piece import Piece


@pytest.fixture(scope="module")
def own_composer(tmp_path_factory):
    keras.utils.set_random_seed(3)
    model = models.build(
        config.preset("deepj", num_pitches=24, num_time_units=8, num_pitch_units=8)
    )
    folder = tmp_path_factory.mktemp("model")
    models.save(model, str(folder))
    return poph_tf.load(str(folder))


def test_a_loaded_model_composes_the_bars_asked_for(own_composer):
    pieces = own_composer.compose(num_bars=3, num_pieces=2, seed=5)
    assert [len(piece.matrices) for piece in pieces] == [48, 48]
    assert pieces[0].matrices != pieces[1].matrices
    alone = own_composer.compose(3, seed=5)
    assert isinstance(alone, Piece) and alone.matrices == pieces[0].matrices


def test_former_names_of_options_still_work_with_a_warning(own_composer):
    with pytest.warns(FutureWarning, match="'pieces' is now called 'num_pieces'"):
        (piece,) = own_composer.compose(num_bars=3, pieces=1, seed=5)
    assert piece.matrices == own_composer.compose(num_bars=3, seed=5).matrices


def test_methods_for_tasks_are_compose_with_music(own_composer):
    music, options = small.random_piece(6, 32, low=40, high=50), {"particles": 2}
    for piece, settings in [
        (own_composer.continue_(music, num_bars=1), {"primer": music, "num_bars": 1}),
        (own_composer.harmonize(music, **options), {"fix": music, **options}),
        (
            own_composer.infill(music, "2", **options),
            {"primer": music, "redraw": "2", **options},
        ),
    ]:
        assert piece.matrices == own_composer.compose(**settings).matrices


def test_a_notebook_shows_the_piano_roll_as_a_picture(own_composer):
    picture = own_composer.compose(num_bars=1).plot()
    assert picture.data.startswith(b"\x89PNG")


def test_a_stream_gives_the_same_bars_as_composing_at_once(own_composer):
    whole = own_composer.compose(num_bars=6, seed=2).matrices.cells
    bars = list(own_composer.stream(num_bars=6, seed=2))
    assert [len(bar) for bar in bars] == [16] * 6
    low = own_composer.model.config.min_pitch
    np.testing.assert_array_equal(np.concatenate(bars), whole[:, low : low + 24])


def test_a_saved_piece_is_read_back_as_the_same_music(own_composer, tmp_path):
    piece = own_composer.compose(num_bars=4, seed=1)
    piece.save(tmp_path / "piece.mid")
    read = matrices.from_sequence(midi.read(str(tmp_path / "piece.mid")))
    np.testing.assert_array_equal(read.cells, piece.matrices.cells[: len(read)])
    assert not piece.matrices.cells[len(read) :].any()


def test_a_notebook_shows_the_page_in_a_frame(own_composer):
    shown = own_composer.compose(num_bars=1)._repr_html_()
    assert shown.startswith("<iframe srcdoc=")
    assert "<script>" not in shown  # the page is escaped inside its attribute


def test_the_repr_of_composer_and_piece_says_what_they_are(own_composer):
    assert repr(own_composer) == "<Composer in any>"
    cells = np.zeros((32, 128, 3), np.uint8)
    cells[:4, [60, 64], 0] = cells[8:12, 60, 0] = 1
    piece = matrices.Matrices(cells, np.arange(32, dtype=np.uint8) % 16)
    said = repr(Piece(piece, own_composer.model.config))
    assert said == "<Piece of 2 bars, 3 notes>"


def test_loading_prints_no_warnings_about_the_machine():
    code = "import poph_tf; print(poph_tf.load('bach').compose(num_bars=1))"
    environment = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.stdout.startswith("<Piece of 1 bar, ")
    assert done.stderr == ""


def test_an_unknown_option_or_suffix_is_refused_by_name(own_composer, tmp_path):
    with pytest.raises(InputError) as raised:
        own_composer.compose(tempo=90)
    said = "compose() got an unknown option 'tempo'; did you mean 'tempo_qpm'?"
    assert str(raised.value) == said
    with pytest.raises(InputError, match="must end in one of"):
        Piece(None, None).save(tmp_path / "piece.xyz")


@pytest.mark.parametrize("name", ["num_steps", "volume"])
def test_a_stream_refuses_unknown_options_and_several_pieces(own_composer, name):
    with pytest.raises(InputError, match=rf"stream\(\) got an unknown option '{name}'"):
        next(own_composer.stream(num_bars=1, **{name: 1}))
    with pytest.raises(InputError, match="one piece, got num_pieces=2"):
        next(own_composer.stream(num_pieces=2))


def test_the_package_has_its_public_names_and_imports_without_tensorflow():
    code = """
import sys, poph_tf
assert poph_tf.ModelConfig and poph_tf.GenerationConfig and poph_tf.__version__
light = not {"tensorflow", "keras"} & set(sys.modules)
from poph_tf import Composer, Matrices, load
print(light, Composer.__name__, Matrices.__name__, load.__name__)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300
    )
    assert done.stdout == "True Composer Matrices load\n", done.stderr
    with pytest.raises(AttributeError, match="no attribute 'Musician'"):
        getattr(poph_tf, "Musician")  # noqa: B009
