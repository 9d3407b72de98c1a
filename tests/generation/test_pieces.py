"""A piece in Python: bars, tracks, conversion to other libraries."""

import dataclasses
import inspect
import json
import re

import browser
import numpy as np
import pytest

import poph_tf
from poph_tf import config
from poph_tf.config.tracks import Track
from poph_tf.data import matrices
from poph_tf.errors import InputError
from poph_tf.generation.piece import Piece

TRACKS = (Track("lute", program=24), Track("bass", program=43))


@pytest.fixture
def piece():
    """Two bars: C E G C in quarters on the lute, then a C; C in the bass throughout."""
    stack = np.zeros((32, 2, 128, 3), np.uint8)
    for start, end, pitch in [(0, 4, 60), (4, 8, 64), (8, 12, 67), (12, 28, 72)]:
        stack[start:end, 0, pitch] = (1, 0, 90)
    stack[:, 1, 36] = (1, 0, 60)
    position = (np.arange(32) % 16).astype(np.uint8)
    return Piece(matrices.from_stack(stack, TRACKS, position, tempo_qpm=100.0))


def test_a_piece_is_a_sequence_of_bars(piece):
    assert piece.num_bars == len(piece) == len(list(piece)) == 2
    assert repr(piece) == "<Piece of 2 bars, 5 notes>"
    # The C held over the bar line and the C in the bass.
    assert repr(piece[1]) == repr(piece[-1]) == "<Piece of 1 bar, 2 notes>"
    assert piece[:] == piece[0:2] == piece and piece[:1] != piece
    assert piece[5:].num_bars == 0 and piece[2:1].num_bars == 0
    with pytest.raises(IndexError):
        piece[2]
    with pytest.raises(InputError, match=r"piece\[4:8\], got a step of 2"):
        piece[::2]


def test_pieces_are_added_and_transposed(piece):
    twice = piece + piece.transpose(12)
    assert twice.num_bars == 4
    assert twice[2:] == piece.transpose(12) and twice[:2] == piece


def test_a_piece_tells_its_key_and_nothing_of_one_joined_to_another(piece):
    told = Piece(dataclasses.replace(piece.matrices, key="C major"))
    for same in (told, told[:1], told.tracks["bass"], told + told):
        assert same.key == "C major"
    assert repr(told) == "<Piece of 2 bars, 5 notes, in C major>"
    assert told.transpose(2).key == "D major" and not (told + piece).key


def test_tracks_are_pieces_by_name(piece):
    assert list(piece.tracks) == ["lute", "bass"]
    bass = piece.tracks["bass"]
    assert repr(bass) == "<Piece of 2 bars, 1 note>" and list(bass.tracks) == ["bass"]
    with pytest.raises(InputError, match="no track 'tuba'; there are lute, bass"):
        piece.tracks["tuba"]
    assert "tuba" not in piece.tracks


def test_pretty_midi_gets_notes_programs_and_tempo(piece):
    made = piece.to_pretty_midi()
    assert [(i.name, i.program) for i in made.instruments] == [
        ("lute", 24),
        ("bass", 43),
    ]
    lute = [(n.pitch, n.velocity, n.start, n.end) for n in made.instruments[0].notes]
    # A quarter at 100 qpm lasts 0.6 seconds.
    expected = [
        (60, 90, 0, 0.6),
        (64, 90, 0.6, 1.2),
        (67, 90, 1.2, 1.8),
        (72, 90, 1.8, 4.2),
    ]
    np.testing.assert_allclose(lute, expected, atol=1e-9)


def test_a_note_sequence_gets_the_same_notes(piece):
    notes = piece.to_note_sequence().notes
    assert [note.pitch for note in notes] == [60, 64, 67, 72, 36]
    assert piece.to_note_sequence().tempos[0].qpm == 100


def test_symusic_gets_ticks(piece):
    pytest.importorskip("symusic")
    score = piece.to_symusic()
    assert score.ticks_per_quarter == 480
    notes = [(n.time, n.duration, n.pitch) for n in score.tracks[0].notes]
    assert notes == [(0, 480, 60), (480, 480, 64), (960, 480, 67), (1440, 1920, 72)]


def test_music21_gets_parts_and_offsets_in_quarters(piece):
    score = piece.to_music21()
    assert [part.partName for part in score.parts] == ["lute", "bass"]
    notes = [(n.offset, n.nameWithOctave) for n in score.parts[0].flatten().notes]
    # The last note is cut at the bar line.
    names = ["C4", "E4", "G4", "C5", "C5"]
    assert notes == [(float(k), name) for k, name in enumerate(names)]


def test_a_file_is_read_as_a_piece(piece, tmp_path):
    piece.save(tmp_path / "a.mid")
    read = Piece.from_file(tmp_path / "a.mid")
    assert read == piece and list(read.tracks) == ["lute", "bass"]


def test_a_notebook_gets_a_page_that_loads_nothing(piece):
    shown = piece._repr_html_()
    assert shown.startswith("<iframe srcdoc=") and shown.endswith("</iframe>")
    assert len(shown) < 40_000
    assert not re.search(r"(?:src|href)=&#34;(?!data:)", shown)
    assert "http" not in shown.replace("http://www.w3.org/2000/svg", "")


@pytest.mark.skipif(browser.PATH is None, reason="Chromium is not installed")
def test_a_notebook_draws_and_plays_a_piece_without_the_network(piece, tmp_path):
    cell = tmp_path / "cell.html"
    cell.write_text(f"<!doctype html><div>{piece._repr_html_()}</div>", "utf-8")
    frame = "document.querySelector('iframe').contentDocument"
    with browser.Page(cell.as_uri(), tmp_path / "profile") as page:
        page.wait(f"{frame}.querySelector('canvas.roll')?.width > 300")
        page.evaluate(f"{frame}.querySelector('button').click()")
        page.wait(f"{frame}.querySelector('.clock').textContent.startsWith('0:01 /')")
        page.screenshot(tmp_path / "cell.png")
        assert page.seen("Runtime.exceptionThrown") == []
        seen = [e["request"]["url"] for e in page.seen("Network.requestWillBeSent")]
        assert [url for url in seen if not url.startswith(("data:", "about:"))] == [
            cell.as_uri()
        ]


def test_notebooks_complete_the_settings_of_every_method():
    for name in ("compose", "harmonize", "vary", "stream"):
        parameters = inspect.signature(getattr(poph_tf.Composer, name)).parameters
        assert parameters["temperature"].default == 1.0
        assert parameters["num_bars"].default == 8
        assert "options" not in parameters


def test_a_composer_takes_pieces_and_saves_itself(tmp_path):
    composer = poph_tf.Composer.from_pretrained("chorales")
    short = composer.compose(num_bars=1, seed=1)
    more = composer.continue_(short, num_bars=1, seed=2)
    assert more == composer.continue_(short.matrices, num_bars=1, seed=2)
    assert more[:1] == short
    composer.save_pretrained(tmp_path / "mine")
    names = ["card.json", "card.md", "config.json", "model.keras", "step.tflite"]
    assert sorted(path.name for path in (tmp_path / "mine").iterdir()) == names
    again = poph_tf.Composer.from_pretrained(tmp_path / "mine")
    assert again.compose(num_bars=1, seed=1) == short


def test_a_model_in_memory_is_saved_with_settings_and_a_card(tmp_path):
    import small

    composer = poph_tf.Composer(small.model("voices"))
    composer.save_pretrained(tmp_path / "tiny")
    card = (tmp_path / "tiny" / "card.md").read_text("utf-8")
    assert "| tracks | soprano, alto, bass |" in card
    stored = json.loads((tmp_path / "tiny" / "config.json").read_text("utf-8"))
    assert config.ModelConfig.from_dict(stored["model"]) == composer.config
    again = poph_tf.Composer.from_pretrained(tmp_path / "tiny")
    kernels = (c.model.get_layer("heads").kernel.numpy() for c in (composer, again))
    np.testing.assert_array_equal(*kernels)
