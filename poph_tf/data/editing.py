"""Cuts, joins and transposes pieces on the grid; the results are canonical.

Bars are counted from 0; an upbeat is a bar of its own, as is an incomplete last bar.
"""

import dataclasses
from collections import Counter
from collections.abc import Sequence

import numpy as np

from poph_tf import theory
from poph_tf.data import bars
from poph_tf.data import cells as cells_lib
from poph_tf.data.cells import PLAY, REPLAY
from poph_tf.data.matrices import NUM_PITCHES, Matrices, TrackCells, canonical
from poph_tf.errors import InputError


def cut(piece: Matrices, first_bar: int, last_bar: int) -> Matrices:
    """The bars from `first_bar` up to, but not including, `last_bar`.

    A note that sounds across the first bar line begins there; one that sounds across
    the last ends there.
    """
    edges = bars.bar_edges(piece.bar_position)
    return between(piece, int(edges[first_bar]), int(edges[last_bar]))


def between(piece: Matrices, start: int, stop: int) -> Matrices:
    """The steps from `start` up to, but not including, `stop`; like `cut` for bars."""
    whole = stop == len(piece)
    signatures = bars.signatures_between(piece.time_signatures, start, stop)
    return canonical(
        dataclasses.replace(
            piece,
            cells=piece.cells[start:stop],
            bar_position=piece.bar_position[start:stop],
            time_signatures=signatures,
            tracks=tuple(
                dataclasses.replace(track, cells=track.cells[start:stop])
                for track in piece.tracks
            ),
            ritardando=piece.ritardando if whole else 0.0,
        )
    )


def join(first: Matrices, second: Matrices) -> Matrices:
    """Joins two pieces, in the tempo of the first.

    Tracks of the same name are joined. If either piece has no tracks, neither has the
    result.

    Raises:
        InputError: If their grids differ.
    """
    if first.steps_per_quarter != second.steps_per_quarter:
        raise InputError(
            f"Pieces to join must have the same grid, got {first.steps_per_quarter} "
            f"and {second.steps_per_quarter} steps per quarter."
        )
    if not len(first) or not len(second):
        return first if len(first) else second
    return canonical(
        dataclasses.replace(
            first,
            cells=_joined(first.cells, second.cells),
            bar_position=_joined_positions(first.bar_position, second.bar_position),
            time_signatures=_joined_signatures(first, second),
            title=first.title or second.title,
            tracks=_joined_tracks(first, second),
            key=first.key if first.key == second.key else "",
            ritardando=second.ritardando,
        )
    )


def _joined(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    cells = np.concatenate([first, second])
    # What begins at the seam is struck, even if the pitch already sounds.
    struck = first[-1, :, PLAY] & second[0, :, PLAY]
    cells[len(first), :, REPLAY] = struck
    return cells


def _joined_positions(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    positions = np.concatenate([first, second])
    # An upbeat that does not complete the bar before is a bar of its own.
    if int(second[0]) != int(first[-1]) + 1:
        positions[len(first)] = 0
    return positions


def _joined_signatures(first: Matrices, second: Matrices) -> bars.Signatures:
    both = [
        piece.time_signatures
        or bars.guessed(piece.bar_position, first.steps_per_quarter)
        for piece in (first, second)
    ]
    last = both[0][-1][1:]
    later = [(step + len(first), n, d) for step, n, d in both[1]]
    return (*both[0], *(later[1:] if later[0][1:] == last else later))


def _joined_tracks(first: Matrices, second: Matrices) -> tuple[TrackCells, ...]:
    if not first.tracks or not second.tracks:
        return ()
    own, others = by_name(first.tracks), by_name(second.tracks)
    made = []
    for name in [*own, *(name for name in others if name not in own)]:
        parts = [
            found[name].cells if name in found else np.zeros_like(piece.cells)
            for found, piece in ((own, first), (others, second))
        ]
        track = own.get(name) or others[name]
        made.append(dataclasses.replace(track, cells=_joined(*parts)))
    return tuple(made)


def by_name(tracks: Sequence[TrackCells]) -> dict[str, TrackCells]:
    """Tracks by name; unnamed and repeated ones get a number.

    Example:
        >>> cells = np.zeros((1, 128, 3), np.uint8)
        >>> piano, nameless = (TrackCells(n, 0, False, cells) for n in ("Piano", ""))
        >>> list(by_name([piano, nameless, piano]))
        ['Piano', 'track 2', 'Piano 2']
    """
    seen: Counter[str] = Counter()
    found = {}
    for number, track in enumerate(tracks, start=1):
        name = track.name or f"track {number}"
        seen[name] += 1
        found[name if seen[name] == 1 else f"{name} {seen[name]}"] = track
    return found


def transpose(piece: Matrices, semitones: int) -> Matrices:
    """Transposes a piece and its key by some semitones; drums stay.

    Raises:
        InputError: If a note would leave the pitches 0 to 127.
    """
    tracks = tuple(
        track
        if track.is_drum
        else dataclasses.replace(track, cells=_moved(track.cells, semitones))
        for track in piece.tracks
    )
    if any(track.is_drum for track in tracks):
        cells = cells_lib.merged(np.stack([track.cells for track in tracks], axis=1))
    else:
        cells = _moved(piece.cells, semitones)
    key = theory.transposed_key(piece.key, semitones)
    return dataclasses.replace(piece, cells=cells, tracks=tracks, key=key)


def _moved(cells: np.ndarray, semitones: int) -> np.ndarray:
    sounding = np.flatnonzero(cells[..., PLAY].any(axis=0))
    moved = sounding + semitones
    if len(moved) and not (moved[0] >= 0 and moved[-1] < NUM_PITCHES):
        raise InputError(
            f"Transposed by {semitones}, pitches {sounding[0]} to {sounding[-1]} would "
            f"be {moved[0]} to {moved[-1]}: MIDI has 0 to {NUM_PITCHES - 1}."
        )
    out = np.zeros_like(cells)
    out[:, moved] = cells[:, sounding]
    return out


def only(piece: Matrices, track: TrackCells) -> Matrices:
    """A piece with only one of its tracks."""
    return dataclasses.replace(piece, cells=track.cells, tracks=(track,))
