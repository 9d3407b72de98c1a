"""Given music: what of it is held while the rest is drawn around it.

A cell is given with four numbers: 1, then its play, whether it is struck (an onset; the
sampler makes it a replay where the pitch sounded before), and its volume 0..1; a cell
that is free has zeros. Bars are counted from 1, the first whole one; an upbeat before
it has no number.
"""

import numpy as np

from poph_tf import theory
from poph_tf.data import matrices
from poph_tf.errors import InputError

# Where a given voice lies among the new ones: on top, at the bottom, or anywhere.
VOICES = ("melody", "bass", "any")


def held_notes(cells, config, voice="melody"):
    """Gives the notes of a voice and leaves the rest free.

    In the step after a note has ended its pitch is silent, so that no note is drawn
    on. While a melody sounds, all above its highest note is silent too, and all below
    the lowest of a bass; where it rests, everything is free.

    Args:
        cells: uint8 [time, 128, 3], canonical.
        config: ModelConfig.
        voice: str, one of `VOICES`.

    Returns:
        float32 [time, pitch, 4].

    Raises:
        InputError: If there is no note, or one that the model does not have.
    """
    _check_pitches(cells, config)
    given = all_cells(cells, config)
    play = given[..., 1] > 0
    ended = np.zeros_like(play)
    ended[1:] = play[:-1] & ~play[1:]
    silent = ended
    if voice == "melody":
        silent = ended | (_sounding_beyond(play[:, ::-1])[:, ::-1])
    elif voice == "bass":
        silent = ended | _sounding_beyond(play)
    given[..., 0] = play | silent
    return given


def _sounding_beyond(play):
    """Before the first sounding place of each step that has one, [time, pitch]."""
    return (np.cumsum(play, axis=1) == 0) & play.any(axis=1, keepdims=True)


def all_cells(cells, config):
    """Gives every cell, silent ones as well: float32 [time, pitch, 4]."""
    seen = slice(config.min_pitch, config.max_pitch + 1)
    given = np.ones((len(cells), config.num_pitches, 4), np.float32)
    given[..., 1] = cells[:, seen, 0]
    given[..., 2] = matrices.onsets(cells)[:, seen]
    given[..., 3] = cells[:, seen, 2] / np.float32(127)
    return given


def _check_pitches(cells, config):
    sounding = np.flatnonzero(cells[..., 0].any(axis=0))
    if not len(sounding):
        raise InputError("The notes to hold must be some notes, got a silent piece.")
    low, high = int(sounding[0]), int(sounding[-1])
    if low < config.min_pitch or high > config.max_pitch:
        raise InputError(
            f"The notes to hold must lie within the model's pitches, "
            f"{config.min_pitch} to {config.max_pitch}, got {low} to {high}: "
            f"transpose them."
        )


def bar_starts(bar_position):
    """Steps at which bars begin, int [bar]; bar k begins at place k - 1."""
    return np.flatnonzero(np.asarray(bar_position) == 0)


def steps_before_bar(piece, bar):
    """Steps of a piece before a bar, which may be the one after the last.

    Args:
        piece: Matrices.
        bar: int, from 1.

    Raises:
        InputError: If the piece has no such bar.
    """
    starts = np.append(bar_starts(piece.bar_position), len(piece))
    if not 1 <= bar <= len(starts):
        raise InputError(
            f"from_bar must be a bar of the piece or the one after its last, 1 to "
            f"{len(starts)}, got {bar}."
        )
    return int(starts[bar - 1])


def steps_of_bars(piece, text):
    """First step and the one after the last of bars such as "9-12" or "9".

    Args:
        piece: Matrices.
        text: str.

    Raises:
        InputError: If the piece has no such bars.
    """
    first, last = theory.read_bars(text)
    starts = np.append(bar_starts(piece.bar_position), len(piece))
    if last >= len(starts):
        raise InputError(
            f"redraw must name bars of the piece, 1 to {len(starts) - 1}, got {text!r}."
        )
    return int(starts[first - 1]), int(starts[last])
