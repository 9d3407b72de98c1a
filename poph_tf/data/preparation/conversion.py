"""One item of a collection -> records, or the reason why there is none.

Runs in the workers. Nothing here depends on what else is converted, on when or where.
"""

import dataclasses
import functools
import hashlib
import os
import zlib

import numpy as np

from poph_tf import theory
from poph_tf.data import abc, examples, midi, midi_bytes, quantization, shards
from poph_tf.data import notes as notes_lib
from poph_tf.data.preparation import alignment, sources
from poph_tf.errors import InputError, MusicFileError

# Higher levels save a fifth of the room and take three times as long.
_COMPRESSION_LEVEL = 1
VELOCITY_BINS = 16
# As far as polyphony is told apart in the report.
POLYPHONY_BINS = 17
FACTS = np.dtype(
    [
        ("id", "u1", 32),
        ("fingerprint", "u1", 32),
        ("size", "i8"),  # bytes of the record, compressed
        ("steps", "i4"),
        ("notes", "i4"),
        ("sounding_cells", "i4"),
        ("silent_steps", "i4"),
        ("tempo_qpm", "f4"),
        ("numerator", "i2"),
        ("denominator", "i2"),
        ("key", "i1"),  # 0..11 major scale that fits best; -1 without notes
        ("pitches", "i4", 128),  # onsets by pitch
        ("velocities", "i4", VELOCITY_BINS),  # onsets by velocity
        ("polyphony", "i4", POLYPHONY_BINS),  # steps by number of sounding notes
        ("grid_error", "f4"),  # of the file's onsets, steps
        ("aligned_error", "f4"),  # after alignment; equal where there was none
        ("offset_steps", "f4"),
        ("found_beats", "i1"),
        ("bar_offset", "i2"),
    ]
)


@dataclasses.dataclass(frozen=True)
class Converted:
    """What came of an item.

    Args:
        source, style: str.
        record: bytes or None. A gzip member that holds one framed TFRecord.
        facts: FACTS scalar or None.
        reason: str or None. Why there is no record.
    """

    source: str
    style: str
    record: bytes | None = None
    facts: np.void | None = None
    reason: str | None = None


def convert(item, settings):
    """Converts an item.

    Args:
        item: sources.Item.
        settings: Settings.

    Returns:
        list of Converted; several only for ABC files with several tunes.
    """
    if item.reason:
        return [Converted(item.source, item.style, reason=item.reason)]
    try:
        pieces = _pieces(item, settings)
    except InputError as error:
        return [Converted(item.source, item.style, reason=_reason(error))]
    except MemoryError:
        reason = "needs more memory than a worker has"
        return [Converted(item.source, item.style, reason=reason)]
    return [_convert_piece(*piece, item.style, settings) for piece in pieces]


def _reason(error):
    return error.reason if isinstance(error, MusicFileError) else str(error)


def _pieces(item, settings):
    """(source, function that gives the Notes or raises InputError) of each piece."""
    data = item.data
    if data is None:
        with _opened(item) as file:
            data = file.read(settings.max_bytes + 1)
        if len(data) > settings.max_bytes:
            raise MusicFileError(item.source, sources.too_large(settings))
    source, name = item.source, item.source.lower()
    if name.endswith(midi.MIDI_SUFFIXES):
        return [(source, lambda: _midi_notes(data, source, settings))]
    if settings.channels:
        raise MusicFileError(source, "channels are known of MIDI files only")
    if name.endswith(sources.SEQUENCE_SUFFIX):
        return [(source, lambda: _sequence_notes(data, source))]
    if name.endswith(midi.ABC_SUFFIXES):
        return _tunes(data, source)
    return [(source, lambda: notes_lib.from_sequence(midi.parse(data, source)[0]))]


def _tunes(data, source):
    """As `_pieces`, of a book of tunes: one that cannot be read has its own reason."""

    def notes(tune):
        if tune.reason:
            raise MusicFileError(source, tune.reason)
        return notes_lib.from_sequence(tune.sequence)

    tunes = abc.tunes(data, source)
    names = [f"{source}#{tune.label}" for tune in tunes] if len(tunes) > 1 else [source]
    return [
        (name, functools.partial(notes, tune))
        for name, tune in zip(names, tunes, strict=True)
    ]


def _opened(item):
    try:
        return open(item.path, "rb")
    except OSError as error:
        reason = f"cannot be opened ({os.strerror(error.errno or 0)})"
        raise MusicFileError(item.source, reason) from None


def _midi_notes(data, source, settings):
    if settings.reader == "note_seq":
        return notes_lib.from_sequence(midi.parse_midi(data, source))
    data = midi_bytes.unwrapped(data)
    return midi_bytes.parse(data, source, max_events=settings.max_events, compiled=True)


def _sequence_notes(data, source):
    from google.protobuf.message import DecodeError
    from note_seq.protobuf import music_pb2

    try:
        sequence = music_pb2.NoteSequence.FromString(data)
    except DecodeError:
        raise MusicFileError(source, "not a NoteSequence") from None
    if sequence.HasField("quantization_info"):
        raise MusicFileError(source, "a quantized NoteSequence")
    return notes_lib.from_sequence(sequence)


def _convert_piece(source, read, style, settings):
    try:
        notes = _chosen(read(), settings)
        found = _measured(notes, settings)
        if settings.align == "auto":
            notes, found = alignment.align(notes, settings.steps_per_quarter)
        piece = quantization.place(
            notes,
            settings.steps_per_quarter,
            drums=settings.drums,
            sustain=settings.sustain,
            max_steps=settings.max_steps,
            compiled=True,
        )
        facts = _facts(piece, found)
        _filter(piece, facts, settings)
    except InputError as error:
        return Converted(source, style, reason=_reason(error))
    except MemoryError:
        return Converted(source, style, reason="needs more memory than a worker has")
    record, piece_id = examples.encode(piece, style=style, source=source, compiled=True)
    facts["id"] = np.frombuffer(bytes.fromhex(piece_id), np.uint8)
    facts["fingerprint"] = np.frombuffer(
        fingerprint(piece.start, piece.pitch), np.uint8
    )
    record = compressed(shards.framed(record))
    facts["size"] = len(record)
    return Converted(source, style, record=record, facts=facts)


def compressed(data):
    """A gzip member, always the same for the same data."""
    packer = zlib.compressobj(_COMPRESSION_LEVEL, zlib.DEFLATED, 31)
    return packer.compress(data) + packer.flush()


def _chosen(notes, settings):
    """The notes of the wanted instruments, within the limits."""
    if len(notes) > settings.max_notes:
        raise InputError(f"more than {settings.max_notes:,} notes")
    keep = np.ones(len(notes), bool)
    if not settings.drums:
        keep &= ~notes.is_drum
    if settings.programs:
        # Drum kits have no program of the General MIDI list.
        keep &= np.isin(notes.program, settings.programs) | notes.is_drum
    if settings.channels:
        keep &= np.isin(notes.instrument % 16 + 1, settings.channels)
    if not keep.any():
        kind = "no notes" if not len(notes) else "no notes of the wanted instruments"
        raise InputError(kind)
    return notes_lib.select(notes, keep)


def _measured(notes, settings):
    positions = notes.start_tick * settings.steps_per_quarter / notes.ticks_per_quarter
    error = alignment.grid_error(positions)
    return alignment.Alignment(error_before=error, error_after=error)


def fingerprint(start, pitch):
    """SHA-256 of the onsets, whatever the tempo, transposition and instruments.

    Args:
        start, pitch: int [note], by pitch, then by start (steps).

    Returns:
        bytes (32).
    """
    table = np.stack([start, pitch]).astype("<i4")
    table -= table.min(axis=1, keepdims=True) if len(start) else 0
    return hashlib.sha256(table.tobytes()).digest()


def _facts(piece, found):
    start, end, pitch, velocity = piece.start, piece.end, piece.pitch, piece.velocity
    length = len(piece)
    sounding = np.cumsum(
        np.bincount(start, minlength=length + 1)
        - np.bincount(end, minlength=length + 1)
    )[:length]
    top = POLYPHONY_BINS - 1
    by_pitch = np.bincount(pitch, end - start, minlength=128)
    facts = np.zeros((), FACTS)
    facts["steps"] = length
    facts["notes"] = len(start)
    facts["sounding_cells"] = by_pitch.sum()
    facts["silent_steps"] = np.count_nonzero(sounding == 0)
    facts["tempo_qpm"] = piece.tempo_qpm
    metre = np.minimum(piece.time_signatures[0][1:], np.iinfo(np.int16).max)
    facts["numerator"], facts["denominator"] = metre
    facts["pitches"] = np.bincount(pitch, minlength=128)
    bins = velocity // (128 // VELOCITY_BINS)
    facts["velocities"] = np.bincount(bins, minlength=VELOCITY_BINS)
    facts["polyphony"] = np.bincount(sounding.clip(max=top), minlength=top + 1)
    facts["key"] = _key(by_pitch)
    facts["grid_error"] = found.error_before
    facts["aligned_error"] = found.error_after
    facts["offset_steps"] = found.offset_steps
    facts["found_beats"] = found.beats_per_bar
    facts["bar_offset"] = found.bar_offset_steps
    return facts


_MAJOR_ROWS = theory.scale_rows()[: theory.NUM_PITCH_CLASSES]


def _key(by_pitch):
    """The tonic of the major scale that holds most of what sounds."""
    classes = np.bincount(np.arange(128) % 12, by_pitch)
    return int((_MAJOR_ROWS @ classes).argmin())


def _filter(piece, facts, settings):
    """Raises InputError with the reason why a piece is not wanted."""
    if len(piece) < settings.min_steps:
        raise InputError(f"shorter than {settings.min_steps} steps")
    sounding = len(piece) - int(facts["silent_steps"])
    if sounding < (1 - settings.max_silence) * len(piece):
        raise InputError(
            f"silent for more than {settings.max_silence:.0%} of its steps"
        )
    polyphony = int(facts["sounding_cells"]) / max(sounding, 1)
    if polyphony < settings.min_polyphony:
        raise InputError(f"fewer than {settings.min_polyphony:g} notes at a time")
    if settings.metres:
        own = {f"{n}/{d}" for _, n, d in piece.time_signatures}
        if not own <= set(settings.metres):
            raise InputError("another metre than " + ", ".join(settings.metres))
