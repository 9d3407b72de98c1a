"""Converts one item of a collection to records, or says why there is none.

Runs in the workers. The result depends only on the item and the settings, not on what
else is converted, nor when or where.
"""

import dataclasses
import os
import time
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from poph_tf import theory
from poph_tf.config.data import DataConfig
from poph_tf.config.tracks import Track
from poph_tf.data import examples, instruments, quantization, reading, roles, shards
from poph_tf.data import notes as notes_lib
from poph_tf.data.preparation import (
    alignment,
    archives,
    beat_picture,
    fingerprints,
    sources,
)
from poph_tf.data.quantization import QuantizedNotes
from poph_tf.errors import InputError, MusicFileError

# Higher levels save a fifth of the space and take three times as long.
_COMPRESSION_LEVEL, _GZIP = 1, 31
VELOCITY_BINS = 16
# The report distinguishes polyphony up to this number of notes less one.
POLYPHONY_BINS = 17

STATISTICS = np.dtype(
    [
        ("id", "u1", 32),
        ("fingerprint", "u1", 32),
        ("passages", "i4"),  # before sampling for the sketch
        ("sketched", "i4"),
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
        ("aligned_error", "f4"),  # after alignment; equal if there was none
    ]
)


@dataclasses.dataclass(frozen=True)
class Converted:
    """The result for a piece: a record with its statistics, or a reason.

    Attributes:
        source: name of the file relative to the input; for a tune of a book, with #.
        style: name of its style.
        record: a gzip member that holds one framed TFRecord.
        statistics: STATISTICS scalar.
        sketch: uint32 [passage], used to find its near-duplicates.
        reason: why there is no record.
        repairs: the kinds of repairs that the reader made to the file.
        score_seconds: how long the conversion of the item took, if it is a score; given
            with the first of its results.
        picture: its first bars, if its beats were found; SVG.
    """

    source: str
    style: str
    record: bytes | None = None
    statistics: Any = None
    sketch: np.ndarray | None = None
    reason: str | None = None
    repairs: tuple[str, ...] = ()
    score_seconds: float = 0.0
    picture: str = ""


def convert(item: sources.Item, settings: DataConfig) -> list[Converted]:
    """Converts an item; several results only for ABC files with several tunes."""
    begun = time.perf_counter()
    made = _convert(item, settings)
    if made and item.source.lower().endswith(reading.SCORE_SUFFIXES):
        seconds = time.perf_counter() - begun
        made[:1] = [dataclasses.replace(made[0], score_seconds=seconds)]
    return made


def _convert(item: sources.Item, settings: DataConfig) -> list[Converted]:
    source, style = item.source, item.style
    if item.reason:
        return [Converted(source, style, reason=item.reason)]
    options = reading.Options(
        settings.reader,
        settings.max_events,
        compiled=True,
        repeats=settings.repeats,
        ornaments=settings.ornaments,
    )
    try:
        data = _content(item, settings.max_bytes)
        if settings.channels and not source.lower().endswith(reading.MIDI_SUFFIXES):
            raise MusicFileError(source, "channels are known only for MIDI files")
        pieces = reading.parse(data, source, options)
    except (InputError, MemoryError) as error:
        number, _ = item.part
        return [Converted(source, style, reason=_reason(error))] if not number else []
    return [
        _convert_piece(
            f"{source}#{label}" if len(pieces) > 1 else source,
            style,
            pieces[label],
            settings,
        )
        for label in _own(list(pieces), *item.part)
    ]


def _own(labels: list[str], number: int, count: int) -> list[str]:
    """Part `number` of the labels, which are cut into `count` parts.

    Example:
        >>> _own(["a", "b", "c"], 1, 2)
        ['b', 'c']
    """
    bounds = (len(labels) * k // count for k in (number, number + 1))
    return labels[slice(*bounds)]


def _reason(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "needs more memory than a worker has"
    return error.reason if isinstance(error, MusicFileError) else str(error)


def _content(item: sources.Item, max_bytes: int) -> bytes:
    if item.path is None:
        return item.data or b""
    try:
        with item.path.open("rb") as file:
            data = file.read(max_bytes + 1)
    except OSError as error:
        reason = f"cannot be read ({os.strerror(error.errno or 0)})"
        raise MusicFileError(item.source, reason) from None
    if len(data) > max_bytes:
        raise MusicFileError(item.source, archives.too_large(max_bytes))
    return data


def _convert_piece(
    source: str, style: str, piece: Any, settings: DataConfig
) -> Converted:
    """Converts one of the pieces of `reading.parse`."""
    try:
        notes = _selected(reading.to_notes(piece), settings)
        sketch, passages = _sketch(notes)
        played = notes
        notes, found = _aligned(notes, settings)
        picture = beat_picture.draw(played, found.found, notes) if found.found else ""
        notes, masks = _tracks(notes, settings)
        options: dict[str, Any] = {
            "drums": True,  # Unwanted ones are already gone.
            "sustain": settings.sustain,
            "max_steps": settings.max_steps,
            "compiled": True,
        }
        quantized = quantization.quantize(notes, settings.steps_per_quarter, **options)
        tracks = instruments.quantize_tracks(notes, masks, quantized, **options)
        if settings.trim_silence:
            quantized, tracks = _without_silence(quantized, tracks)
        statistics = measure(quantized, found)
        _check_wanted(quantized, statistics, settings)
    except (InputError, MemoryError) as error:
        return Converted(source, style, reason=_reason(error))
    record, piece_id = examples.encode(
        quantized, style=style, source=source, tracks=tracks, compiled=True
    )
    statistics["passages"], statistics["sketched"] = passages, len(sketch)
    made = finish(source, style, record, piece_id, statistics)
    repairs = tuple(notes.repairs)
    return dataclasses.replace(made, sketch=sketch, repairs=repairs, picture=picture)


def finish(
    source: str, style: str, record: bytes, piece_id: str, statistics: Any
) -> Converted:
    """The result for a record that is not framed yet."""
    # A gzip member, always the same for the same data.
    record = zlib.compress(shards.framed(record), _COMPRESSION_LEVEL, _GZIP)
    statistics["id"] = np.frombuffer(bytes.fromhex(piece_id), np.uint8)
    statistics["size"] = len(record)
    return Converted(source, style, record, statistics)


def _sketch(notes: notes_lib.Notes) -> tuple[np.ndarray, int]:
    """The sketch of all notes but drums, and the number of its passages."""
    seconds = notes_lib.seconds_of(notes)(notes.start_tick[~notes.is_drum])
    return fingerprints.sketch(seconds, notes.pitch[~notes.is_drum])


def _selected(notes: notes_lib.Notes, settings: DataConfig) -> notes_lib.Notes:
    """The notes of the wanted instruments, within the limits."""
    if len(notes) > settings.max_notes:
        raise InputError(f"more than {settings.max_notes:,} notes")
    keep = np.ones(len(notes), bool)
    if not settings.drums and not any(t.is_drum for t in settings.wanted_tracks):
        keep &= ~notes.is_drum
    if settings.programs:
        # Drum kits have no General MIDI program.
        keep &= np.isin(notes.program, settings.programs) | notes.is_drum
    if settings.channels:
        keep &= np.isin(notes.instrument % 16 + 1, settings.channels)
    if not keep.any():
        kind = "no notes" if not len(notes) else "no notes of the wanted instruments"
        raise InputError(kind)
    return notes_lib.select(notes, keep)


def _tracks(
    notes: notes_lib.Notes, settings: DataConfig
) -> tuple[notes_lib.Notes, dict[Track, np.ndarray]]:
    """The notes of the wanted tracks, and a mask for each track (bool [note])."""
    if not settings.wanted_tracks:
        return notes, {}
    masks = roles.assign(notes, settings.wanted_tracks)
    used = np.any(list(masks.values()), axis=0)
    kept = {track: mask[used] for track, mask in masks.items()}
    return notes_lib.select(notes, used), kept


def _aligned(
    notes: notes_lib.Notes, settings: DataConfig
) -> tuple[notes_lib.Notes, alignment.Alignment]:
    if settings.align != "off":
        by_beats = settings.align == "beats"
        return alignment.align(notes, settings.steps_per_quarter, by_beats=by_beats)
    positions = notes.start_tick * settings.steps_per_quarter / notes.ticks_per_quarter
    error = alignment.grid_error(positions)
    return notes, alignment.Alignment(error, error)


def measure(piece: QuantizedNotes, found: alignment.Alignment) -> Any:
    """Measures a piece; STATISTICS scalar without id and size."""
    start, end, pitch = piece.start, piece.end, piece.pitch
    length = len(piece)
    sounding = np.cumsum(
        np.bincount(start, minlength=length + 1)
        - np.bincount(end, minlength=length + 1)
    )[:length]
    top = POLYPHONY_BINS - 1
    by_pitch = np.bincount(pitch, end - start, minlength=128)
    numerator, denominator = np.minimum(
        piece.time_signatures[0][1:], np.iinfo(np.int16).max
    )
    made = np.zeros((), STATISTICS)
    values = {
        "fingerprint": np.frombuffer(fingerprints.exact(start, pitch), np.uint8),
        "steps": length,
        "notes": len(start),
        "sounding_cells": by_pitch.sum(),
        "silent_steps": np.count_nonzero(sounding == 0),
        "tempo_qpm": piece.tempo_qpm,
        "numerator": numerator,
        "denominator": denominator,
        "key": _key(by_pitch),
        "pitches": np.bincount(pitch, minlength=128),
        "velocities": np.bincount(
            piece.velocity // (128 // VELOCITY_BINS), minlength=VELOCITY_BINS
        ),
        "polyphony": np.bincount(sounding.clip(max=top), minlength=top + 1),
        "grid_error": found.error_before,
        "aligned_error": found.error_after,
    }
    for name, value in values.items():
        made[name] = value
    return made


_MAJOR_ROWS = theory.scale_rows()[: theory.NUM_PITCH_CLASSES]


def _key(by_pitch: np.ndarray) -> int:
    """The tonic of the major scale that holds most of what sounds."""
    classes = np.bincount(np.arange(128) % 12, by_pitch)
    return int((_MAJOR_ROWS @ classes).argmin())


def _without_silence(
    piece: QuantizedNotes, tracks: Mapping[Track, QuantizedNotes]
) -> tuple[QuantizedNotes, dict[Track, QuantizedNotes]]:
    """A piece and its tracks from their first note to their last."""
    first, stop = int(piece.start.min()), int(piece.end.max())
    return quantization.between(piece, first, stop), {
        track: quantization.between(part, first, stop) for track, part in tracks.items()
    }


def _check_wanted(piece: QuantizedNotes, statistics: Any, settings: DataConfig) -> None:
    """Raises InputError with the reason why a piece is not wanted."""
    if len(piece) < settings.min_steps:
        raise InputError(f"shorter than {settings.min_steps} steps")
    sounding = len(piece) - int(statistics["silent_steps"])
    if sounding < (1 - settings.max_silence) * len(piece):
        raise InputError(
            f"silent for more than {settings.max_silence:.0%} of its steps"
        )
    polyphony = int(statistics["sounding_cells"]) / max(sounding, 1)
    if polyphony < settings.min_polyphony:
        raise InputError(f"fewer than {settings.min_polyphony:g} notes at a time")
    if settings.metres:
        own = {f"{n}/{d}" for _, n, d in piece.time_signatures}
        if not own <= set(settings.metres):
            raise InputError("another metre than " + ", ".join(settings.metres))
