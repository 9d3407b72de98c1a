"""Arranges a user's music for the tracks of a model, and reports what was changed.

A file's parts are matched to the model's tracks by the user's table (`map`), by name,
or by height if there are as many parts as tracks. A single part goes to the requested
track. Each change is reported in one line.
"""

import dataclasses
import math
from collections.abc import Container, Sequence

import numpy as np

from poph_tf import theory
from poph_tf.config import ModelConfig
from poph_tf.config import tracks as tracks_lib
from poph_tf.config.tracks import Track
from poph_tf.data import cells as cells_lib
from poph_tf.data import notes as notes_lib
from poph_tf.data import roles
from poph_tf.data.matrices import PLAY, Matrices, TrackCells
from poph_tf.data.notes import Notes
from poph_tf.errors import InputError

# If at least this share of notes lies outside the model's pitches, all are moved.
FEW = 0.02
# Least distance between the mean pitches of voices; in Bach's chorales it is 6 to 9.
ROOM = 6


@dataclasses.dataclass(frozen=True, eq=False)
class Arrangement:
    """Music arranged for the tracks of a model.

    Attributes:
        cells: uint8 [step, track, 128, channel].
        present: bool [track], which tracks the music has.
        changes: what was changed, one sentence each.
    """

    cells: np.ndarray
    present: np.ndarray
    changes: tuple[str, ...]


def arrange(
    piece: Matrices,
    model: ModelConfig,
    table: Sequence[str],
    single: str,
    *,
    make_room: bool = False,
) -> Arrangement:
    """Assigns the parts of a piece to the tracks of a model.

    Args:
        piece: the music.
        model: configuration of a model with tracks.
        table: strings such as "Vln 1:soprano".
        single: the track for music with one part.
        make_room: whether to move a single voice to where the others fit around it.

    Raises:
        InputError: If parts and tracks cannot be matched, or notes do not fit.
    """
    parts = piece.tracks or (TrackCells("", 0, False, piece.cells),)
    places = _by_table(parts, model.tracks, table) or _by_name(parts, model.tracks)
    places = places or _by_height(parts, model.tracks, single)
    cells = np.zeros((len(piece), len(model.tracks), 128, 3), np.uint8)
    for part, place in places.items():
        cells[:, place] = np.maximum(cells[:, place], parts[part].cells)
    changes = _unused(parts, places)
    if make_room:
        cells, moved = _with_room(cells, model)
        changes += moved
    cells, moved = within_range(cells, model)
    changes += moved
    for place, track in enumerate(model.tracks):
        if track.voice:
            low = place == len(model.tracks) - 1
            cells[:, place], thinned = _one_at_a_time(cells[:, place], track.name, low)
            changes += thinned
    present = np.isin(np.arange(len(model.tracks)), list(places.values()))
    return Arrangement(cells, present, tuple(changes))


def by_role(notes: Notes, tracks: Sequence[Track]) -> Notes:
    """The notes with one instrument per track, assigned as in data sets.

    Notes that cannot fill all tracks are returned unchanged, for `arrange`.
    """
    try:
        masks = roles.assign(notes, tracks) if tracks else {}
    except InputError:
        return notes
    if not masks:
        return notes
    instrument, used = notes.instrument.copy(), np.zeros(len(notes), bool)
    for k, track in enumerate(tracks):
        instrument[masks[track]] = k
        used |= masks[track]
    names = {k: track.name for k, track in enumerate(tracks)}
    found = dataclasses.replace(notes, instrument=instrument, names=names)
    return notes_lib.select(found, used)


def _unused(parts: Sequence[TrackCells], places: Container[int]) -> list[str]:
    """Reports the parts that get no track."""
    unused = [k for k in range(len(parts)) if k not in places]
    if not unused:
        return []
    counts = [int(cells_lib.onsets(part.cells).sum()) for part in parts]
    share = cells_lib.share(sum(counts[k] for k in unused), sum(counts))
    return [f"Not used: {', '.join(_called(parts, k) for k in unused)}, {share}."]


def _called(parts: Sequence[TrackCells], place: int) -> str:
    return parts[place].name or f"part {place + 1}"


def _listed(parts: Sequence[TrackCells]) -> str:
    return ", ".join(_called(parts, k) for k in range(len(parts)))


def _by_table(
    parts: Sequence[TrackCells], tracks: Sequence[Track], table: Sequence[str]
) -> dict[int, int]:
    names = [_called(parts, k).casefold() for k in range(len(parts))]
    places = {}
    for entry in table:
        part, colon, track = entry.rpartition(":")
        if not colon or part.strip().casefold() not in names:
            raise InputError(
                f"map must be parts of the music by tracks of the model, such as "
                f"'{_called(parts, 0)}:{tracks[0].name}', got {entry!r}; the music has "
                f"{_listed(parts)}."
            )
        found = tracks_lib.named(tracks, track.strip())
        places[names.index(part.strip().casefold())] = found
    return places


def _by_name(parts: Sequence[TrackCells], tracks: Sequence[Track]) -> dict[int, int]:
    names = [track.name.casefold() for track in tracks]
    called = [part.name.strip().casefold() for part in parts]
    return {k: names.index(name) for k, name in enumerate(called) if name in names}


def _by_height(
    parts: Sequence[TrackCells], tracks: Sequence[Track], single: str
) -> dict[int, int]:
    """Matches a single part, or as many parts as tracks, from high to low."""
    if len(parts) == 1:
        return {0: tracks_lib.named(tracks, single)}
    if len(parts) != len(tracks):
        raise InputError(
            f"The music has the parts {_listed(parts)}, and the model the tracks "
            f"{', '.join(track.name for track in tracks)}: say with map which is which."
        )
    order = sorted(range(len(parts)), key=lambda k: -_mean_pitch(parts[k].cells))
    return {part: place for place, part in enumerate(order)}


def _mean_pitch(cells: np.ndarray) -> float:
    counts = cells[..., PLAY].sum(axis=0, dtype=np.int64)
    return float(np.average(np.arange(len(counts)), weights=np.maximum(counts, 1e-9)))


def _with_room(cells: np.ndarray, model: ModelConfig) -> tuple[np.ndarray, list[str]]:
    """Moves a single voice by octaves until the others fit below and above it."""
    voices = [k for k, track in enumerate(model.tracks) if track.voice]
    alone = np.flatnonzero(cells.any(axis=(0, 2, 3))).tolist()
    if len(alone) != 1 or alone[0] not in voices:
        return cells, []
    above = voices.index(alone[0])
    below = len(voices) - 1 - above
    low, high = model.min_pitch + ROOM * below, model.max_pitch - ROOM * above
    mean, octave = _mean_pitch(cells[:, alone[0]]), theory.NUM_PITCH_CLASSES
    up = math.ceil((low - mean) / octave) if below and mean < low else 0
    down = math.ceil((mean - high) / octave) if above and mean > high else 0
    octaves = up - down
    if not octaves or high - low < octave:
        return cells, []
    shifted = np.arange(cells.shape[2]) + octave * octaves
    name, way = model.tracks[alone[0]].name, "low" if up else "high"
    moved = f"{_all_moved(octaves)}, so that the other voices fit around them"
    line = f"The notes lie too {way} for {name}: {moved}."
    return _moved(cells, shifted, model), [line]


def _all_moved(octaves: int) -> str:
    plural, way = "s" * (abs(octaves) > 1), "up" if octaves > 0 else "down"
    return f"all are moved {abs(octaves)} octave{plural} {way}"


def within_range(cells: np.ndarray, model: ModelConfig) -> tuple[np.ndarray, list[str]]:
    """Moves all notes, or a few, by octaves until the model has their pitches.

    Args:
        cells: uint8 [step, track, 128, channel].
        model: configuration of the model.

    Returns:
        The cells, and what was changed: one sentence or none.

    Raises:
        InputError: If there are no notes, or if some lie outside and the model has
            less than an octave.
    """
    by_pitch = cells_lib.onsets(cells).sum(axis=(0, 1))
    if not (total := by_pitch.sum()):
        raise InputError("The music must have notes, got a silent piece.")
    octave, pitches = theory.NUM_PITCH_CLASSES, np.arange(len(by_pitch))

    def outside(octaves: int) -> int:
        moved = pitches + octave * octaves
        return by_pitch[(moved < model.min_pitch) | (moved > model.max_pitch)].sum()

    if not outside(0):
        return cells, []
    octaves = 0
    if outside(0) >= FEW * total:
        octaves = min(range(-10, 11), key=lambda k: (outside(k), abs(k)))
    found = cells_lib.share_outside(cells, model.min_pitch, model.max_pitch)
    found += f" lie outside the model's pitches, {model.min_pitch} to "
    changes = []
    if octaves:
        changes.append(_all_moved(octaves))
    if outside(octaves):
        others = "what still lies outside is" if octaves else "they are"
        changes.append(f"{others} moved by octaves")
        if model.num_pitches < octave:
            raise InputError(f"{found}{model.max_pitch}, less than an octave.")
    shifted = pitches + octave * octaves
    line = f"{found}{model.max_pitch}: {'; '.join(changes)}."
    return _moved(cells, shifted, model), [line]


def _moved(cells: np.ndarray, shifted: np.ndarray, model: ModelConfig) -> np.ndarray:
    """Moves each pitch to another, and those still outside by the fewest octaves.

    If two pitches meet, the one that is moved by fewer of these octaves sounds.
    """
    octave, moved = theory.NUM_PITCH_CLASSES, np.zeros_like(cells)
    up = np.maximum(-((shifted - model.min_pitch) // octave), 0)
    down = np.maximum(-((model.max_pitch - shifted) // octave), 0)
    targets = shifted + octave * (up - down)
    sounding = np.flatnonzero(cells[..., PLAY].any(axis=(0, 1)))
    for pitch in sorted(sounding, key=lambda k: up[k] + down[k]):
        at = targets[pitch]
        taken = moved[:, :, at, PLAY, None] != 0
        moved[:, :, at] = np.where(taken, moved[:, :, at], cells[:, :, pitch])
    return cells_lib.canonical(moved)


def _one_at_a_time(
    cells: np.ndarray, name: str, lowest: bool
) -> tuple[np.ndarray, list[str]]:
    """Keeps the highest (or lowest) of several notes, [step, pitch, channel]."""
    play = cells[..., PLAY] != 0
    if not (play.sum(axis=1) > 1).any():
        return cells, []
    toward = play if lowest else play[:, ::-1]
    first = np.cumsum(toward, axis=1) == 1
    kept = play & (first if lowest else first[:, ::-1])
    # A part of a note that is cut may remain.
    start, end, pitch, _ = cells_lib.spans(cells)
    lost = np.pad(np.cumsum(play & ~kept, axis=0), ((1, 0), (0, 0)))
    cut = int((lost[end, pitch] > lost[start, pitch]).sum())
    which = "lowest" if lowest else "highest"
    return cells * kept[..., None], [
        f"{name} has several notes at once: the {which} is kept, "
        f"{cells_lib.share(cut, len(pitch))} are left out or cut."
    ]
