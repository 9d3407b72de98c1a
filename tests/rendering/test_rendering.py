"""Pictures, sound and the page, checked as a viewer or listener gets them."""

import base64
import dataclasses
import io
import sys
import wave

import browser
import numpy as np
import pytest

from poph_tf import config
from poph_tf.data import matrices, midi
from poph_tf.errors import InputError
from poph_tf.rendering import audio, figures, piano_roll, saving

C4, A4 = 60, 69
# 30 seconds of sound that needs no synthesizer, [frame, 1].
TONE = 0.5 * np.sin(2 * np.pi * 440 * np.arange(30 * 44100) / 44100)[:, None]
needs_sound = pytest.mark.skipif(
    "not __import__('importlib.util').util.find_spec('tinysoundfont')",
    reason="tinysoundfont is not installed",
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


def picture(music, **options):
    """The pixels [row, column, (red, green, blue)] of a picture, 0..1."""
    from matplotlib import image

    content = figures.to_png(piano_roll.draw(music, **options))
    return image.imread(io.BytesIO(content))[..., :3]


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


def test_each_track_has_a_colour_that_its_name_shows():
    stack = np.zeros((16, 2, 128, 3), np.uint8)
    stack[:, 0, 72] = stack[:, 1, C4] = (1, 0, 64)
    tracks = (config.Track("high"), config.Track("low"))
    position = np.arange(16, dtype=np.uint8)
    figure = piano_roll.draw(matrices.from_stack(stack, tracks, position))
    names = {t.get_text(): t.get_color() for t in figure.texts if t.get_text()}
    middles = [shades[1] for shades in piano_roll.TRACK_SHADES]
    assert names == {"high": middles[0], "low": middles[1]}
    (axes,) = figure.axes
    low, _, high, _ = axes.collections[-4:]  # each with its edges; the first uppermost
    for drawn, pitch, color in ((low, C4, middles[1]), (high, 72, middles[0])):
        assert round(drawn.get_paths()[0].vertices[:, 1].min()) == pitch
        # Velocity 64 is close to the middle shade.
        wanted = [int(color[k : k + 2], 16) / 255 for k in (1, 3, 5)]
        np.testing.assert_allclose(drawn.get_facecolor()[0][:3], wanted, atol=0.02)


def test_a_louder_note_is_drawn_darker():
    view = {"min_pitch": 48, "num_pitches": 24}
    soft, loud = (picture(piece((0, 16, C4, v)), **view) for v in (20, 120))
    changed = np.abs(soft - loud).sum(axis=-1) > 0.01
    assert changed.mean() > 0.001
    assert (loud[changed].mean(axis=-1) < soft[changed].mean(axis=-1)).all()


def test_a_replayed_note_looks_different_from_a_held_one():
    held = picture(piece((0, 16, C4, 80)))
    struck = picture(piece((0, 8, C4, 80), (8, 16, C4, 80)))
    changed = np.argwhere(np.abs(held - struck).sum(axis=-1) > 0.05)
    # Only around step 8 of 32, a quarter of the width from the left edge of the axes.
    assert len(changed) > 0
    columns = changed[:, 1] / held.shape[1]
    assert columns.min() > 0.25 and columns.max() < 0.31


def test_bars_and_beats_have_their_own_lines():
    pixels = picture(piece(steps=32))
    # White rows between the keys show the vertical lines; the darkest are bars.
    line = pixels[:, int(0.04 * pixels.shape[1]) :].mean(axis=(0, 2))
    assert len(set(np.flatnonzero(line < line.max() - 0.02) // 20)) >= 8


def test_the_pitch_range_can_be_given():
    music = piece((0, 8, C4, 80), (0, 8, 100, 80))
    whole = picture(music)
    part = picture(music, min_pitch=48, num_pitches=24)
    # 47 rows from two below C4 to two above 100, against 24 of the same height.
    assert whole.shape[0] - part.shape[0] == pytest.approx(0.06 * 21 * 110, abs=2)


def test_a_piece_without_notes_has_a_picture():
    assert darkness(picture(piece(steps=16))) < 0.1


def test_a_picture_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(InputError, match="Cannot write .*nowhere"):
        saving.save(piece(), tmp_path / "nowhere" / "roll.png")


def test_missing_matplotlib_is_named_with_the_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(InputError, match="pip install matplotlib"):
        piano_roll.draw(piece())


def sequence(*notes, **options):
    return matrices.to_sequence(piece(*notes, **options))


@needs_sound
def test_a4_sounds_at_440_hertz_for_as_long_as_it_lasts():
    sound = audio.synthesize(sequence((0, 8, A4, 100)), tail_seconds=3.0)
    assert sound.dtype == np.float32 and sound.shape[1] == 2
    frames, rate = sound.mean(axis=1), audio.SAMPLE_RATE
    # The note ends after 1 second, the tail after 3 more.
    assert len(frames) / rate == pytest.approx(4, abs=0.1)
    spectrum = np.abs(np.fft.rfft(frames[:rate]))
    low = spectrum[:700]  # bins of 1 Hz, below the overtones
    assert abs(int(low.argmax()) - 440) <= 2
    sounding, after = frames[: rate // 2], frames[2 * rate : 5 * rate // 2]
    assert np.abs(after).mean() < 0.02 * np.abs(sounding).mean()


@needs_sound
def test_a_louder_velocity_sounds_louder():
    sound = audio.synthesize(sequence((0, 4, A4, 30), (16, 20, A4, 120)))
    frames, rate = sound.mean(axis=1), audio.SAMPLE_RATE
    soft, loud = frames[: rate // 2], frames[2 * rate : 5 * rate // 2]
    assert np.abs(loud).mean() > 3 * np.abs(soft).mean()
    assert np.abs(sound).max() == pytest.approx(audio.PEAK)


def test_a_wav_holds_the_samples_in_16_bits():
    sound = np.array([[0, 0.5], [1, -1], [2, -2]], np.float32)
    with wave.open(io.BytesIO(audio.to_wav(sound, 8000))) as file:
        assert (file.getnchannels(), file.getframerate()) == (2, 8000)
        frames = np.frombuffer(file.readframes(3), "<i2").reshape(3, 2)
    # Beyond -1..1 it is clipped.
    expected = [[0, 16384], [32767, -32767], [32767, -32767]]
    np.testing.assert_array_equal(frames, expected)


@needs_sound
def test_a_sound_that_cannot_be_made_loses_no_piece(tmp_path, monkeypatch):
    monkeypatch.setattr(audio, "MAX_SECONDS", 1)
    # Five seconds and two.
    long, short = (piece((0, n, A4, 90), steps=n) for n in (40, 16))
    model_config = config.preset("poph2")

    def written(**options):
        paths = saving.save_all(
            [long, short], tmp_path, model_config, png=False, page=False, **options
        )
        return sorted(path.name for path in paths)

    with pytest.raises(InputError, match="must last at most four hours"):
        written(wav=True)
    assert {path.name for path in tmp_path.iterdir()} == {"piece-1.mid", "piece-2.mid"}
    # By default only short pieces are played.
    monkeypatch.setattr(saving, "LONGEST_DEFAULT_SOUND_SECONDS", 4)
    monkeypatch.setattr(audio, "MAX_SECONDS", 100)
    assert written() == ["piece-1.mid", "piece-2.mid", "piece-2.wav"]


@needs_sound
def test_a_batch_is_written_with_a_page_that_holds_sound_and_midi(tmp_path):
    pieces = [piece((0, 4, C4, 80), steps=8)] * 2
    paths = saving.save_all(pieces, tmp_path / "new", config.preset("poph2"), wav=True)
    names = [f"piece-{k}.{kind}" for k in (1, 2) for kind in ("mid", "png", "wav")]
    assert [path.name for path in paths] == [*names, "index.html"]
    assert sorted(paths) == sorted((tmp_path / "new").iterdir())
    first, second = browser.page_data(paths[-1].read_text("utf-8"))["pieces"]
    assert first["midi"] == second["midi"]
    content = base64.b64decode(first["midi"].partition(",")[2])
    assert content == paths[0].read_bytes()
    assert first["audio"].startswith("data:audio/mpeg;base64,")
    assert first["details"] == "poph2, 120 quarter notes per minute"
    named = {"name": "chorales", "png": False, "wav": False}
    told = [dataclasses.replace(piece, key="Db major") for piece in pieces]
    paths = saving.save_all(told, tmp_path, config.preset("poph2"), **named)
    first, _ = browser.page_data(paths[-1].read_text("utf-8"))["pieces"]
    assert first["details"] == "chorales, 120 quarter notes per minute, in D♭ major"


@needs_sound
@pytest.mark.parametrize("suffix", [".mid", ".wav", ".mp3", ".png", ".html"])
def test_the_suffix_decides_what_is_written(tmp_path, suffix):
    path = tmp_path / f"piece{suffix.upper()}"
    saving.save(piece((0, 4, A4, 90), steps=8), path)
    begins = {
        ".mid": b"MThd", ".wav": b"RIFF", ".mp3": b"\xff", ".png": b"\x89PNG",
        ".html": b"<!doctype html>",
    }  # fmt: skip
    assert path.read_bytes().startswith(begins[suffix])


def test_an_unknown_suffix_names_the_known_ones(tmp_path):
    with pytest.raises(InputError, match=r"a.flac: must end in one of .mid, .wav"):
        saving.save(piece(), tmp_path / "a.flac")


@needs_sound
@pytest.mark.parametrize("name", ["a.mid", "a.wav", "a.mp3", "a.png", "a.html"])
def test_a_file_that_cannot_be_written_is_named_and_leaves_nothing(tmp_path, name):
    with pytest.raises(InputError, match=f"Cannot write .*none/{name}"):
        saving.save(piece((0, 4, A4, 90)), tmp_path / "none" / name)
    assert not list(tmp_path.iterdir())


@needs_sound
@pytest.mark.parametrize("encode", [audio.to_wav, audio.to_mp3])
def test_the_same_piece_gives_the_same_bytes(encode):
    music = sequence((0, 4, A4, 90), (2, 9, C4, 50))
    first, again = (encode(audio.synthesize(music)) for _ in range(2))
    assert first == again


@needs_sound
def test_mp3_is_much_smaller_than_wav():
    sound = audio.synthesize(sequence((0, 32, A4, 90)))
    assert len(audio.to_mp3(sound)) < len(audio.to_wav(sound)) / 5


@needs_sound
def test_the_content_of_a_midi_file_sounds_like_its_piece():
    music = sequence((0, 4, A4, 90), (2, 9, C4, 50))
    np.testing.assert_array_equal(
        audio.synthesize(midi.to_bytes(music)), audio.synthesize(music)
    )


@needs_sound
@pytest.mark.parametrize("content", [b"", b"not a MIDI file", b"MThd\0\0\0\6\0\1"])
def test_content_that_is_not_midi_is_an_input_error(content):
    with pytest.raises(InputError, match="not a MIDI file"):
        audio.synthesize(content)


@needs_sound
def test_a_missing_soundfont_is_named():
    with pytest.raises(InputError, match="There is no SoundFont .*my.sf2"):
        audio.synthesize(b"", soundfont="my.sf2")


def test_a_missing_synthesizer_is_named_with_the_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "tinysoundfont", None)
    with pytest.raises(InputError, match="pip install --no-deps tinysoundfont"):
        audio.synthesize(b"")


def test_a_missing_mp3_encoder_is_named_and_pages_hold_wav_instead(monkeypatch):
    monkeypatch.setitem(sys.modules, "soundfile", None)
    with pytest.raises(InputError, match="pip install soundfile"):
        audio.to_mp3(TONE)
    assert audio.compact(TONE) == audio.to_wav(TONE)


def test_music_is_not_replaced_by_what_is_made_of_it(tmp_path, monkeypatch):
    written = saving.midi_paths(tmp_path, 2)
    saving.require_kept(tmp_path / "mine.mid", written)
    saving.require_kept(tmp_path / "piece-3.mid", written)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="piece-2.mid would be replaced"):
        saving.require_kept("piece-2.mid", written)
