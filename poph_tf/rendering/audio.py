"""Plays pieces with a software synthesizer and encodes the sound as WAV or MP3.

The synthesizer is tinysoundfont. Its instruments are those of pretty_midi's General
MIDI SoundFont (TimGM6mb.sf2, GPL-2), which note-seq installs. MP3 is encoded by
soundfile, which note-seq installs too. The same piece gives the same bytes.

Sound is float32 [frame, channel], -1..1; a frame lasts 1 / sample_rate seconds.
"""

import importlib.util
import io
import os
import pathlib
import wave
from typing import TYPE_CHECKING, Any

import numpy as np

from poph_tf.data import midi
from poph_tf.errors import InputError

if TYPE_CHECKING:
    from note_seq import NoteSequence

SAMPLE_RATE = 44100
SOUNDFONT = "TimGM6mb.sf2"
INSTALL = "pip install --no-deps tinysoundfont"
# Loud enough for small speakers, with headroom for the overshoot of encoders.
PEAK = 0.89
MAX_SECONDS = 4 * 3600
_BLOCK_FRAMES = 2048
_ENCODED_FRAMES = 2**18
_FRAME_BYTES = 8  # two float32


def synthesize(
    source: "NoteSequence | bytes",
    *,
    sample_rate: int = SAMPLE_RATE,
    tail_seconds: float = 2.0,
    soundfont: str | os.PathLike[str] | None = None,
) -> np.ndarray:
    """Plays a piece.

    Args:
        source: The piece, or the content of a MIDI file.
        sample_rate: Frames per second.
        tail_seconds: How long the last notes ring on.
        soundfont: Path of another .sf2 file; None uses pretty_midi's.

    Returns:
        float32 [frame, 2]. The loudest sample is `PEAK`, unless all is silent.

    Raises:
        InputError: If the synthesizer or its SoundFont is missing, the content is not
            MIDI, or the piece is longer than four hours.
    """
    synth, sequencer = _synthesizer(sample_rate, soundfont)
    sequencer.add(_events(source))
    # A single buffer for all blocks: a minute of sound takes 21 MB.
    buffer = bytearray()
    # The sequencer advances as the synthesizer generates.
    while not sequencer.is_empty():
        buffer += synth.generate(_BLOCK_FRAMES)
        if len(buffer) > MAX_SECONDS * sample_rate * _FRAME_BYTES:
            raise InputError("A piece to play must last at most four hours.")
    for _ in range(int(tail_seconds * sample_rate / _BLOCK_FRAMES) + 1):
        buffer += synth.generate(_BLOCK_FRAMES)
    sound = np.frombuffer(buffer, np.float32).reshape(-1, 2)
    loudest = max(sound.max(), -sound.min())
    if loudest > 0:
        sound *= np.float32(PEAK / loudest)
    return sound


def _events(source: "NoteSequence | bytes") -> list[Any]:
    import tinysoundfont

    content = source if isinstance(source, bytes) else midi.to_bytes(source)
    try:
        # Persistent events would be searched again in every block.
        return tinysoundfont.midi.load_memory(content, persistent=False)
    except Exception as error:  # the parser raises many types
        raise InputError(
            "The content is not a MIDI file that can be played."
        ) from error


def _synthesizer(
    sample_rate: int, soundfont: str | os.PathLike[str] | None
) -> tuple[Any, Any]:
    try:
        import tinysoundfont
    except ImportError as error:
        raise InputError(
            f"Sound needs tinysoundfont, which is not installed: {INSTALL}"
        ) from error
    path = pathlib.Path(soundfont or default_soundfont())
    if not path.is_file():
        raise InputError(f"There is no SoundFont {path}.")
    synth = tinysoundfont.Synth(samplerate=sample_rate)
    try:
        synth.sfload(str(path))
    except Exception as error:
        raise InputError(f"{path} is not a SoundFont (.sf2).") from error
    return synth, tinysoundfont.Sequencer(synth)


def default_soundfont() -> pathlib.Path:
    """Returns the path of the SoundFont that comes with pretty_midi.

    Raises:
        InputError: If pretty_midi is not installed.
    """
    spec = importlib.util.find_spec("pretty_midi")
    if spec is None or not spec.submodule_search_locations:
        raise InputError(
            "The SoundFont comes with pretty_midi, which is not installed: "
            "pip install pretty_midi"
        )
    return pathlib.Path(spec.submodule_search_locations[0]) / SOUNDFONT


def to_wav(sound: np.ndarray, sample_rate: int = SAMPLE_RATE) -> bytes:
    """Returns sound as the content of a WAV file with 16-bit samples.

    Example:
        >>> len(to_wav(np.zeros([100, 2], np.float32))) - 44  # without the header
        400
    """
    stream = io.BytesIO()
    with wave.open(stream, "wb") as file:
        file.setnchannels(sound.shape[1])
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        # In parts, so that the 16-bit samples are in memory only once.
        for start in range(0, len(sound), _ENCODED_FRAMES):
            part = np.clip(sound[start : start + _ENCODED_FRAMES], -1, 1)
            file.writeframesraw(np.round(part * 32767).astype("<i2").tobytes())
    return stream.getvalue()


def to_mp3(sound: np.ndarray, sample_rate: int = SAMPLE_RATE) -> bytes:
    """Returns sound as the content of an MP3 file.

    Raises:
        InputError: If soundfile is not installed or too old.
    """
    try:
        import soundfile
    except (ImportError, OSError) as error:  # OSError: its C library is missing
        raise InputError(
            "MP3 needs soundfile, which is not installed: pip install soundfile"
        ) from error
    if "MP3" not in soundfile.available_formats():
        raise InputError("MP3 needs a newer soundfile: pip install -U soundfile")
    stream = io.BytesIO()
    soundfile.write(stream, sound, sample_rate, format="MP3")
    return stream.getvalue()


def compact(sound: np.ndarray, sample_rate: int = SAMPLE_RATE) -> bytes:
    """Returns sound as mono MP3, 1/20 of a WAV; as WAV if soundfile is missing."""
    try:
        return to_mp3(sound.mean(axis=1, keepdims=True), sample_rate)
    except InputError:
        return to_wav(sound, sample_rate)
