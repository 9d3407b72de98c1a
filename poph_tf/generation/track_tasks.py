"""Tasks of models with tracks: which tracks are given in which steps.

The free steps and tracks are drawn knowing all given notes, before and after:

compose       everything is free
continue      new bars follow the music
harmonize     the named tracks are given, or those that the music has
accompany     the melody is given (the track of this name, or the first)
infill        the named bars are free, except in the given tracks
vary          the tracks named with `draw` are free
reharmonize   the melody of a whole piece is given
"""

import dataclasses

import numpy as np

from poph_tf import theory
from poph_tf.config import GenerationConfig, ModelConfig
from poph_tf.config import tracks as tracks_lib
from poph_tf.data.matrices import Matrices
from poph_tf.errors import InputError
from poph_tf.generation import arrangement, constraints, given_music, tasks
from poph_tf.generation.tasks import Task

MELODY = "melody"
# How much slower the last quarter note is with humanize=1, in models with dynamics.
RITARDANDO = 0.25


def from_config(config: GenerationConfig, model: ModelConfig) -> Task:
    """The task that the settings describe; reads the given music.

    Raises:
        InputError: If the settings, the given music and the model do not fit together.
    """
    if config.source is None:
        silence = np.zeros((0, len(model.tracks), 128, 3), np.uint8)
        nothing = dataclasses.replace(tasks.NOTHING, cells=silence)
        task = tasks.continue_(nothing, **tasks.continued_by(config))
    else:
        task = _with_music(config, model)
    bars = task.whole_bar_position
    whole = dataclasses.replace(tasks.NOTHING, bar_position=bars)
    unknown = np.full(len(bars), theory.UNKNOWN, np.int32)
    ends_anew = config.ending and not len(task.after)
    return dataclasses.replace(
        task,
        tempo_qpm=config.tempo_qpm or task.tempo_qpm,
        ritardando=RITARDANDO * config.humanize * (model.volume and ends_anew),
        tracks=model.tracks,
        bars_left=whole.bars_left if config.ending else unknown,
    )


def _with_music(config: GenerationConfig, model: ModelConfig) -> Task:
    if config.fix_as == "bass":
        raise InputError(
            "fix_as=bass does nothing in a model with tracks: name the one that is "
            f"given, such as given={model.tracks[-1].name}."
        )
    tracks = () if config.map else model.tracks
    piece, changes = given_music.read(config.source, tracks)
    given_music.require_notes(piece, changes)
    names = [track.name for track in model.tracks]
    single = MELODY if MELODY in names else names[0]
    if config.given:
        single = config.given[0]
    # Music to continue stays in its range.
    around = config.kind != "continue"
    found = arrangement.arrange(piece, model, config.map, single, make_room=around)
    changes = (*changes, *found.changes)
    stacked = dataclasses.replace(piece, cells=found.cells, tracks=())
    if config.kind == "continue":
        task = tasks.continue_(stacked, **tasks.continued_by(config))
    else:
        if config.kind == "infill":
            stacked = tasks.whole_bars(stacked)
        # In other tasks, the other tracks end with the given ones.
        free = _free(config, model, found.present, stacked)
        task = draw_free(stacked, free, model)
    task = dataclasses.replace(task, changes=changes)
    return tasks.credited(task, piece, config.kind)


def _free(
    config: GenerationConfig, model: ModelConfig, present: np.ndarray, piece: Matrices
) -> np.ndarray:
    """Marks what is drawn, bool [step, track]."""
    tracks = _free_tracks(config, model, present)
    steps = np.ones(len(piece), bool)
    if config.bars_to_draw:
        start, stop = constraints.steps_of_bars(piece, config.bars_to_draw)
        steps = np.isin(np.arange(len(piece)), np.arange(start, stop))
    elif config.steps:
        steps = _in_range(config.steps, "steps", len(piece))
    elif config.kind == "infill" and not config.draw:
        raise InputError("infill needs bars, such as '9-12', or steps.")
    free = steps[:, None] & tracks & _drawn_steps(config, model, len(piece))
    if not free.any():
        raise InputError("Nothing is left to draw: the steps of draw lie elsewhere.")
    return free


def _drawn_steps(
    config: GenerationConfig, model: ModelConfig, num_steps: int
) -> np.ndarray:
    """Marks the steps that `draw` allows in each track, bool [step, track]."""
    kept = np.ones((num_steps, len(model.tracks)), bool)
    spans = [
        (tracks_lib.named(model.tracks, name.strip()), span)
        for name, colon, span in (text.partition(":") for text in config.draw)
        if colon
    ]
    kept[:, [place for place, _ in spans]] = False
    for place, span in spans:
        kept[:, place] |= _in_range(span, "the steps of draw", num_steps)
    return kept


def _in_range(text: str, name: str, num_steps: int) -> np.ndarray:
    """Marks the steps of a range such as "16-31", bool [step]."""
    first, last = theory.read_range(text, name)
    if last >= num_steps:
        raise InputError(f"{name} must be below {num_steps}, got {text!r}.")
    places = np.arange(num_steps)
    return (places >= first) & (places <= last)


def _free_tracks(
    config: GenerationConfig, model: ModelConfig, present: np.ndarray
) -> np.ndarray:
    names = [track.name for track in model.tracks]
    given = [tracks_lib.named(model.tracks, name) for name in config.given]
    drawn = [
        tracks_lib.named(model.tracks, text.partition(":")[0].strip())
        for text in config.draw
    ]
    places = np.arange(len(names))
    if drawn:
        free = np.isin(places, drawn)
    elif given:
        free = ~np.isin(places, given)
    elif config.kind == "infill":
        return np.ones(len(names), bool)
    elif config.kind == "vary":
        raise InputError(f"vary needs tracks to draw, of {', '.join(names)}.")
    elif config.kind == "harmonize" and not present.all():
        free = ~present
    else:
        free = places != (names.index(MELODY) if MELODY in names else 0)
    absent = [name for k, name in enumerate(names) if not (free[k] or present[k])]
    if absent and not (config.bars_to_draw or config.steps):
        raise InputError(f"The music has no {', '.join(absent)}, which is given.")
    if not free.any():
        raise InputError("All tracks are given; leave one to draw.")
    return free


def draw_free(piece: Matrices, free: np.ndarray, model: ModelConfig) -> Task:
    """Draws the free cells of a piece and keeps the rest.

    Args:
        piece: `cells` are [step, track, 128, channel].
        free: bool [step, track].
        model: configuration of the model.
    """
    steps = np.flatnonzero(free.any(axis=1))
    start, stop = int(steps[0]), int(steps[-1]) + 1
    given = constraints.clamp_all(piece.cells, model)
    given *= ~free[:, :, None, None]
    task = tasks.draw_within(piece, start, stop, given[start:stop])
    return dataclasses.replace(task, given=given)
