"""Pictures, sounds and the page, read back as what a listener or viewer would get."""

import json
import os
import re
import sys
import wave

import browser
import numpy as np
import pytest

from poph_tf import config
from poph_tf.data import matrices
from poph_tf.errors import InputError, MusicFileError
from poph_tf.rendering import audio, piano_roll, saving

C4, A4 = 60, 69
needs_sound = pytest.mark.skipif(
    "not __import__('importlib.util').util.find_spec('tinysoundfont')",
    reason="tinysoundfont is not installed",
)
needs_browser = pytest.mark.skipif(
    browser.PATH is None, reason="Chromium is not installed"
)


def piece(*notes, steps=32, tempo_qpm=120.0):
    """Matrices of `(start, end, pitch, velocity)` in steps; a bar is 16 steps."""
    cells = np.zeros((steps, 128, 3), np.uint8)
    for start, end, pitch, velocity in notes:
        cells[start, pitch, 1] = start > 0 and cells[start - 1, pitch, 0]
        cells[start:end, pitch, 0] = 1
        cells[start:end, pitch, 2] = velocity
    position = np.arange(steps, dtype=np.uint8) % 16
    return matrices.Matrices(cells, position, tempo_qpm)


def picture(path, **options):
    """The pixels [row, column, (red, green, blue)] of a plot, 0..1."""
    from matplotlib import image

    music = options.pop("music")
    piano_roll.plot(music, path, **options)
    return image.imread(path)[..., :3]


def darkness(pixels):
    """Share of the picture's ink: 0 for a white page."""
    return float(1 - pixels.mean())


@pytest.mark.parametrize(
    ("steps", "rows"),
    [
        (0, [(0, 1)]),
        (128, [(0, 128)]),
        (160, [(0, 128), (128, 160)]),
        # 130 bars: 12 rows of at most 174 steps, cut at bar lines: ten bars each.
        (2080, [(k * 160, (k + 1) * 160) for k in range(13)]),
    ],
)
def test_rows_end_at_bar_lines(steps, rows):
    assert piano_roll.split_rows(piece(steps=steps)) == rows


def test_a_row_breaks_inside_a_bar_only_if_the_bar_is_longer_than_the_row():
    music = matrices.Matrices(
        np.zeros((200, 128, 3), np.uint8), np.arange(200, dtype=np.uint8)
    )
    assert piano_roll.split_rows(music) == [(0, 128), (128, 200)]


def test_a_louder_note_is_drawn_darker(tmp_path):
    view = {"min_pitch": 48, "num_pitches": 24}
    soft, loud = (
        picture(tmp_path / "roll.png", music=piece((0, 16, C4, v)), **view)
        for v in (20, 120)
    )
    changed = np.abs(soft - loud).sum(axis=-1) > 0.01
    assert changed.mean() > 0.001
    assert (loud[changed].mean(axis=-1) < soft[changed].mean(axis=-1)).all()


def test_a_replayed_note_looks_different_from_a_held_one(tmp_path):
    held = picture(tmp_path / "a.png", music=piece((0, 16, C4, 80)))
    struck = picture(tmp_path / "b.png", music=piece((0, 8, C4, 80), (8, 16, C4, 80)))
    changed = np.argwhere(np.abs(held - struck).sum(axis=-1) > 0.05)
    # Only around step 8 of 32: a quarter of the width from the left edge of the axes.
    assert len(changed) > 0
    columns = changed[:, 1] / held.shape[1]
    assert columns.min() > 0.25 and columns.max() < 0.31


def test_bars_and_beats_have_lines_of_their_own(tmp_path):
    pixels = picture(tmp_path / "roll.png", music=piece(steps=32))
    # White rows between the keys show the vertical lines; the darkest are bars.
    line = pixels[:, int(0.04 * pixels.shape[1]) :].mean(axis=(0, 2))
    assert len(set(np.flatnonzero(line < line.max() - 0.02) // 20)) >= 8


def test_the_pitch_range_is_what_was_asked_for(tmp_path):
    music = piece((0, 8, C4, 80), (0, 8, 100, 80))
    whole = picture(tmp_path / "a.png", music=music)
    part = picture(tmp_path / "b.png", music=music, min_pitch=48, num_pitches=24)
    # 47 rows from two below C4 to two above 100, against 24 of the same height.
    assert whole.shape[0] - part.shape[0] == pytest.approx(0.06 * 21 * 110, abs=2)


def test_a_piece_without_notes_has_a_picture(tmp_path):
    assert darkness(picture(tmp_path / "roll.png", music=piece(steps=16))) < 0.1


def test_a_picture_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(InputError, match="Cannot write .*nowhere"):
        piano_roll.plot(piece(), tmp_path / "nowhere" / "roll.png")


def test_missing_matplotlib_is_named_with_the_command(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(InputError, match="pip install matplotlib"):
        piano_roll.plot(piece(), tmp_path / "roll.png")


def sound_of(path):
    """Frames [frame] of a WAV, both sides mixed, and its rate."""
    with wave.open(str(path)) as file:
        frames = np.frombuffer(file.readframes(file.getnframes()), "<i2")
        return frames.reshape(-1, file.getnchannels()).mean(axis=1), file.getframerate()


@needs_sound
def test_a4_sounds_at_440_hertz_for_as_long_as_it_lasts(tmp_path):
    music = matrices.to_sequence(piece((0, 8, A4, 100)))
    seconds = piano_roll.synthesize(music, tmp_path / "a.wav", tail_seconds=3.0)
    frames, rate = sound_of(tmp_path / "a.wav")
    assert len(frames) / rate == pytest.approx(seconds)
    spectrum = np.abs(np.fft.rfft(frames[:rate]))
    low = spectrum[:700]  # bins of 1 Hz, below the overtones
    assert abs(int(low.argmax()) - 440) <= 2
    sounding, after = frames[: rate // 2], frames[2 * rate : 5 * rate // 2]
    assert np.abs(after).mean() < 0.02 * np.abs(sounding).mean()


@needs_sound
def test_a_louder_velocity_sounds_louder(tmp_path):
    music = piece((0, 4, A4, 30), (16, 20, A4, 120))
    piano_roll.synthesize(matrices.to_sequence(music), tmp_path / "a.wav")
    frames, rate = sound_of(tmp_path / "a.wav")
    soft, loud = frames[: rate // 2], frames[2 * rate : 5 * rate // 2]
    assert np.abs(loud).mean() > 3 * np.abs(soft).mean()
    assert np.abs(frames).max() <= 32767 * audio.PEAK + 1


@needs_sound
def test_sound_that_cannot_be_made_costs_no_piece(tmp_path, monkeypatch):
    monkeypatch.setattr(audio, "MAX_SECONDS", 1)
    # Five seconds and two.
    long, short = (piece((0, n, A4, 90), steps=n) for n in (40, 16))
    model_config = config.preset("poph2")

    def written(**options):
        paths = saving.write(
            [long, short], str(tmp_path), model_config, png=False, page=False, **options
        )
        return sorted(os.path.basename(path) for path in paths)

    with pytest.raises(InputError, match="A piece lasts longer than"):
        written(wav=True)
    assert {path.name for path in tmp_path.iterdir()} == {"piece-1.mid", "piece-2.mid"}
    # Unasked, only what is short is played.
    monkeypatch.setattr(saving, "LONGEST_SOUND_UNASKED_SECONDS", 4)
    monkeypatch.setattr(audio, "MAX_SECONDS", 100)
    assert written() == ["piece-1.mid", "piece-2.mid", "piece-2.wav"]


@needs_sound
@pytest.mark.parametrize("name", ["a.wav", "a.mp3"])
def test_sound_that_cannot_be_written_is_named_and_leaves_nothing(tmp_path, name):
    music = matrices.to_sequence(piece((0, 4, A4, 90)))
    with pytest.raises(InputError, match=f"Cannot write .*none/{name}"):
        piano_roll.synthesize(music, tmp_path / "none" / name)
    assert not list(tmp_path.iterdir())


@needs_sound
def test_the_same_piece_gives_the_same_bytes(tmp_path):
    music = matrices.to_sequence(piece((0, 4, A4, 90), (2, 9, C4, 50)))
    for name in ("a.wav", "b.wav"):
        piano_roll.synthesize(music, tmp_path / name)
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()


@needs_sound
def test_mp3_is_much_smaller_than_wav(tmp_path):
    music = matrices.to_sequence(piece((0, 32, A4, 90)))
    for name in ("a.wav", "a.mp3"):
        piano_roll.synthesize(music, tmp_path / name)
    sizes = [(tmp_path / name).stat().st_size for name in ("a.wav", "a.mp3")]
    assert sizes[1] < sizes[0] / 5
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mp3", "a.wav"]


@needs_sound
@pytest.mark.parametrize("content", [b"", b"not a MIDI file", b"MThd\0\0\0\6\0\1"])
def test_what_is_not_midi_is_named(tmp_path, content):
    broken = tmp_path / "broken.mid"
    broken.write_bytes(content)
    with pytest.raises(MusicFileError, match="broken.mid: not a MIDI file"):
        piano_roll.synthesize(broken, tmp_path / "a.wav")
    assert not (tmp_path / "a.wav").exists()


@needs_sound
def test_a_missing_midi_file_or_soundfont_is_named(tmp_path):
    with pytest.raises(MusicFileError, match="none.mid: cannot be read"):
        piano_roll.synthesize(tmp_path / "none.mid", tmp_path / "a.wav")
    with pytest.raises(InputError, match="There is no SoundFont .*my.sf2"):
        piano_roll.synthesize("a.mid", tmp_path / "a.wav", soundfont="my.sf2")


def test_a_missing_synthesizer_is_named_with_the_command(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "tinysoundfont", None)
    with pytest.raises(InputError, match="pip install --no-deps tinysoundfont"):
        piano_roll.synthesize("a.mid", tmp_path / "a.wav")


def test_sound_files_end_in_wav_or_mp3(tmp_path):
    with pytest.raises(InputError, match="must end in .wav or .mp3"):
        piano_roll.synthesize("a.mid", tmp_path / "a.flac")


def tone(path, seconds=30.0):
    """Writes a WAV that needs no synthesizer."""
    time = np.arange(int(seconds * 44100)) / 44100
    audio.write_wav(path, 0.5 * np.sin(2 * np.pi * 440 * time)[:, None])
    return path


def page_data(path):
    text = path.read_text("utf-8")
    return json.loads(re.search(r'id="data">(.*?)</script>', text, re.S).group(1))


def test_the_page_holds_notes_bars_and_tempo(tmp_path):
    music = piece((0, 4, C4, 80), (4, 8, C4, 90), (2, 20, A4, 70), tempo_qpm=90.0)
    path = tmp_path / "index.html"
    piano_roll.write_page([piano_roll.Piece("one", music, details="two bars")], path)
    (data,) = page_data(path)["pieces"]
    assert data["notes"] == [[0, 4, 60, 80], [2, 20, 69, 70], [4, 8, 60, 90]]
    assert data["bars"] == [0, 16]
    assert data["beats"] == [0, 4, 8, 12, 16, 20, 24, 28]
    assert data["secondsPerStep"] == pytest.approx(60 / 90 / 4)
    assert (data["steps"], data["audio"], data["midi"]) == (32, None, None)


def test_titles_cannot_break_out_of_the_page(tmp_path):
    path = tmp_path / "index.html"
    title = "</script><b>bold & {{data}}"
    piano_roll.write_page([piano_roll.Piece(title, piece())], path, title=title)
    assert page_data(path)["pieces"][0]["title"] == title
    assert "<b>bold" not in path.read_text("utf-8")


def test_a_page_without_pieces_or_with_a_missing_sound_is_refused(tmp_path):
    with pytest.raises(InputError, match="at least one piece"):
        piano_roll.write_page([], tmp_path / "index.html")
    lost = piano_roll.Piece("one", piece(), tmp_path / "lost.mp3")
    with pytest.raises(InputError, match="lost.mp3"):
        piano_roll.write_page([lost], tmp_path / "index.html")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def opened(tmp_path):
    """A page of two pieces, the first with a sound file, in a browser."""
    music = piece((0, 16, C4, 40), (8, 24, A4, 120), steps=64)
    pieces = [
        piano_roll.Piece("with sound", music, tone(tmp_path / "a.wav")),
        piano_roll.Piece("notes only", music),
    ]
    path = tmp_path / "index.html"
    piano_roll.write_page(pieces, path)
    with browser.Page(path.as_uri(), tmp_path / "profile") as page:
        yield page
        assert page.seen("Runtime.exceptionThrown") == []
        requests = [e["request"]["url"] for e in page.seen("Network.requestWillBeSent")]
        assert [url for url in requests if not url.startswith("data:")] == [
            path.as_uri()
        ]


@needs_browser
def test_the_page_draws_every_roll(opened):
    colours = "new Set(new Uint32Array(c.getContext('2d')" + (
        ".getImageData(0, 0, c.width, c.height).data.buffer)).size"
    )
    counts = opened.evaluate(
        f"[...document.querySelectorAll('canvas')].map(c => {colours})"
    )
    assert len(counts) == 4 and min(counts) > 4


@needs_browser
@pytest.mark.parametrize("number", [0, 1])
def test_a_piece_plays_pauses_and_scrolls(opened, number):
    button = f"article:nth-child({number + 1}) button"
    opened.click(button)
    opened.wait(
        f"cards[{number}].player.playing && cards[{number}].player.time() > 0.3"
    )
    assert opened.evaluate(f"document.querySelector('{button}').ariaLabel") == (
        f"Pause {('with sound', 'notes only')[number]}"
    )
    opened.click(button)
    opened.wait(f"!cards[{number}].player.playing")
    paused = opened.evaluate(f"cards[{number}].player.time()")
    assert paused == opened.evaluate(f"cards[{number}].player.time()") > 0.3


@needs_browser
def test_only_one_piece_plays_at_a_time(opened):
    opened.click("article:nth-child(1) button")
    opened.wait("cards[0].player.playing")
    opened.click("article:nth-child(2) button")
    opened.wait("cards[1].player.playing")
    assert opened.evaluate("cards.map(card => card.player.playing)") == [False, True]


@needs_browser
def test_clicks_and_arrows_go_to_places(opened):
    opened.click("article:nth-child(2) canvas.whole", x=0.55)
    step = opened.evaluate("cards[1].player.time() / cards[1].piece.secondsPerStep")
    assert step == pytest.approx(0.55 * 64, abs=1)
    opened.press("ArrowLeft")
    assert opened.evaluate("cards[1].player.time()") == pytest.approx(32 * 0.125)
    opened.press("ArrowRight")
    assert opened.evaluate("cards[1].player.time()") == pytest.approx(48 * 0.125)


@needs_browser
def test_the_notes_play_to_the_end_and_again_from_the_start(opened):
    opened.click("article:nth-child(2) canvas.whole", x=0.66)
    opened.evaluate("cards[1].player.duration = 6.2")
    opened.press(" ")
    opened.wait("!cards[1].player.playing && cards[1].player.time() > 6.1")
    assert opened.evaluate("cards[1].player.time()") == pytest.approx(6.2)
    opened.press(" ")
    opened.wait("cards[1].player.playing && cards[1].player.time() < 6")
