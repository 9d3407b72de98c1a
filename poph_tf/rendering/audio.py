"""Plays MIDI into sound files with a software synthesizer.

The synthesizer is tinysoundfont, the instruments are those of pretty_midi's General
MIDI SoundFont (TimGM6mb.sf2, GPL-2), which note-seq installs and which is used where
it lies. The same piece gives the same bytes. WAV needs nothing else; MP3 is written by
soundfile, which note-seq installs too.
"""

import importlib.util
import os
import pathlib
import tempfile
import wave

import numpy as np

from poph_tf.errors import InputError, MusicFileError

SAMPLE_RATE = 44100
SOUNDFONT = "TimGM6mb.sf2"
INSTALL = "pip install --no-deps tinysoundfont"
# Loud enough for small speakers, with room for what encoders overshoot.
PEAK = 0.89
_BLOCK_FRAMES = 2048
_WRITTEN_FRAMES = 2**18
_FRAME_BYTES = 8  # two float32
MAX_SECONDS = 4 * 3600


def synthesize(source, path, *, sample_rate=SAMPLE_RATE, tail_seconds=2.0,
               soundfont=None):  # fmt: skip
    """Plays a piece into a stereo sound file.

    Args:
        source: NoteSequence, or str or path of a MIDI file.
        path: str or path of the .wav or .mp3 to write.
        sample_rate: int. Frames a second.
        tail_seconds: float. How long the last notes ring on.
        soundfont: str or path of another .sf2 or None.

    Returns:
        float. The length in seconds.

    Raises:
        InputError: If the synthesizer or its SoundFont is missing, or the file cannot
            be written; MusicFileError, if the MIDI file cannot be played.
    """
    path = pathlib.Path(path)
    if path.suffix not in (".wav", ".mp3"):
        raise InputError(f"A sound file's name must end in .wav or .mp3, got {path}.")
    if isinstance(source, (str, os.PathLike)):
        sound = render(source, sample_rate, tail_seconds, soundfont)
    else:
        sound = _render_sequence(source, sample_rate, tail_seconds, soundfont)
    partial = path.with_name(f".{path.stem}.partial{path.suffix}")
    try:
        if path.suffix == ".mp3":
            _soundfile().write(partial, sound, sample_rate, format="MP3")
        else:
            write_wav(partial, sound, sample_rate)
        os.replace(partial, path)
    except OSError as error:
        raise InputError(f"Cannot write {path}: {error.strerror}.") from error
    except RuntimeError as error:  # soundfile's own
        raise InputError(f"Cannot write {path}: {error}") from error
    finally:
        partial.unlink(missing_ok=True)
    return len(sound) / sample_rate


def _render_sequence(sequence, sample_rate, tail_seconds, soundfont):
    from poph_tf.data import midi

    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "piece.mid")
        midi.write(sequence, path)
        try:
            return render(path, sample_rate, tail_seconds, soundfont)
        except MusicFileError as error:
            # Not by the name of a file that nobody has seen.
            raise InputError(f"A piece {error.reason}.") from None


def render(midi_path, sample_rate=SAMPLE_RATE, tail_seconds=2.0, soundfont=None):
    """Plays a MIDI file.

    Args:
        midi_path: str or path.
        sample_rate, tail_seconds, soundfont: as in `synthesize`.

    Returns:
        float32 [frame, 2], between -`PEAK` and `PEAK`.

    Raises:
        InputError, MusicFileError: As in `synthesize`.
    """
    synth, sequencer = _synthesizer(sample_rate, soundfont)
    try:
        with open(midi_path, "rb"):
            sequencer.midi_load(str(midi_path))
    except OSError as error:
        raise MusicFileError(midi_path, f"cannot be read ({error.strerror})") from error
    except Exception as error:  # the parser raises what it happens to meet
        raise MusicFileError(midi_path, "not a MIDI file that can be played") from error
    # In one place: copies of it would count, a minute has 21 MB.
    sound = bytearray()
    # The sequencer moves on by itself as the synthesizer generates.
    while not sequencer.is_empty():
        sound += synth.generate(_BLOCK_FRAMES)
        if len(sound) > MAX_SECONDS * sample_rate * _FRAME_BYTES:
            raise MusicFileError(midi_path, "lasts longer than four hours")
    for _ in range(int(tail_seconds * sample_rate / _BLOCK_FRAMES) + 1):
        sound += synth.generate(_BLOCK_FRAMES)
    sound = np.frombuffer(sound, np.float32).reshape(-1, 2)
    loudest = max(sound.max(), -sound.min())
    if loudest > 0:
        sound *= np.float32(PEAK / loudest)
    return sound


def _synthesizer(sample_rate, soundfont):
    soundfont = soundfont or default_soundfont()
    if not os.path.isfile(soundfont):
        raise InputError(f"There is no SoundFont {soundfont}.")
    try:
        import tinysoundfont
    except ImportError as error:
        raise InputError(
            f"Sound needs tinysoundfont, which is not installed: {INSTALL}"
        ) from error
    synth = tinysoundfont.Synth(samplerate=sample_rate)
    try:
        synth.sfload(str(soundfont))
    except Exception as error:
        raise InputError(f"{soundfont} is not a SoundFont (.sf2).") from error
    return synth, tinysoundfont.Sequencer(synth)


def default_soundfont():
    """The path of the SoundFont that comes with pretty_midi.

    Raises:
        InputError: If pretty_midi is not installed.
    """
    spec = importlib.util.find_spec("pretty_midi")
    if spec is None:
        raise InputError(
            "The SoundFont comes with pretty_midi, which is not installed: "
            "pip install pretty_midi"
        )
    return str(pathlib.Path(spec.submodule_search_locations[0]) / SOUNDFONT)


def write_wav(path, sound, sample_rate=SAMPLE_RATE):
    """Writes sound as 16-bit WAV.

    Args:
        path: str or path.
        sound: float32 [frame, channel], -1..1.
        sample_rate: int. Frames a second.
    """
    with wave.open(str(path), "wb") as file:
        file.setnchannels(sound.shape[1])
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        # The header is to have its length before: no data twice.
        file.setnframes(len(sound))
        for start in range(0, len(sound), _WRITTEN_FRAMES):
            part = np.clip(sound[start : start + _WRITTEN_FRAMES], -1, 1)
            file.writeframesraw(np.round(part * 32767).astype("<i2").tobytes())


def compress(path):
    """The sound file as MP3 in mono, a twentieth of a WAV, or None without soundfile.

    Args:
        path: str or path of a .wav or .mp3.

    Returns:
        bytes or None.
    """
    path = pathlib.Path(path)
    if path.suffix == ".mp3":
        return path.read_bytes()
    try:
        soundfile = _soundfile()
    except InputError:
        return None
    sound, sample_rate = soundfile.read(path, dtype="float32", always_2d=True)
    sound = sound.mean(axis=1)
    with tempfile.TemporaryDirectory() as folder:
        target = pathlib.Path(folder) / "piece.mp3"
        soundfile.write(target, sound, sample_rate, format="MP3")
        return target.read_bytes()


def _soundfile():
    try:
        import soundfile
    except (ImportError, OSError) as error:  # OSError: its C library is missing
        raise InputError(
            "MP3 needs soundfile, which is not installed: pip install soundfile"
        ) from error
    if "MP3" not in soundfile.available_formats():
        raise InputError("MP3 needs a newer soundfile: pip install -U soundfile")
    return soundfile
