"""The style, key and form given to the network where the user leaves them open."""

import numpy as np

from poph_tf import named_chords, theory
from poph_tf.config import GenerationConfig, ModelConfig
from poph_tf.config.generation import AUTO_KEY, MAX_PIECES
from poph_tf.data import bars, returning
from poph_tf.errors import InputError
from poph_tf.generation import form, host_randomness
from poph_tf.generation.tasks import Task


def keys_of(
    config: GenerationConfig, model: ModelConfig, task: Task, seeds: np.ndarray
) -> np.ndarray:
    """The key of each row, int32 [row]: as named, of the music or chords, or drawn.

    Args:
        config: what to compose.
        model: configuration of a model that reads the key.
        task: with the given music.
        seeds: int32 [row, 2].
    """
    named = config.key if config.key not in ("", AUTO_KEY) else task.key
    if named:
        return np.full(len(seeds), theory.key_number(named), np.int32)
    if config.source is None and config.chords.strip():
        return np.full(len(seeds), named_chords.key_of_chords(config.chords), np.int32)
    if config.source is None:
        return host_randomness.keys(seeds)
    if task.given is None:
        play = task.prefill.cells[..., 0].max(axis=1)
        found = theory.find_key(play, ended=False)
    else:
        play = task.given[..., 1].max(axis=1)
        last_bar = np.flatnonzero(task.whole_bar_position == 0).max(initial=0)
        ended = play[last_bar:].any()
        found = theory.find_key(play, model.min_pitch, ended=ended)
    return np.full(len(seeds), found, np.int32)


def returns_of(
    config: GenerationConfig, model: ModelConfig, task: Task, seeds: np.ndarray
) -> np.ndarray | None:
    """The form of each row, int32 [row, whole step]; None if no form is planned.

    Args:
        config: what to compose.
        model: configuration of any model.
        task: with the given music.
        seeds: int32 [row, 2].

    Raises:
        InputError: If a form is given but the model does not read it.
    """
    if not model.form:
        if config.form not in ("", theory.FREE_FORM):
            raise InputError(
                f"form does nothing in this model, which does not read it: leave "
                f"form={config.form} out."
            )
        return None
    if config.form == theory.FREE_FORM:
        return None
    bar_position, most_steps = task.whole_bar_position, model.time_attention_steps
    if task.given is not None and not config.form:
        found = _form_of_given(task.given, bar_position, most_steps)
        return np.tile(found, (len(seeds), 1))
    if len(config.form) > np.count_nonzero(bar_position == 0):
        raise InputError(
            f"form has {len(config.form)} sections, {config.form}, more than the piece "
            "has bars."
        )
    return form.returns(config.form, seeds, bar_position, most_steps)


def _form_of_given(
    cells: np.ndarray, bar_position: np.ndarray, most_steps: int
) -> np.ndarray:
    """Where given notes return, int32 [whole step]; unknown in bars without any."""
    given, play, struck, _ = np.moveaxis(cells > 0, -1, 0)
    found = returning.find_returns(
        given & play & struck, bar_position, returning.SOME_ALIKE, most_steps
    )
    bar, _ = bars.numbered(bar_position)
    counts = np.bincount(bar, (given & play).any(axis=(1, 2)))
    return np.where(counts[bar] > 0, found, theory.UNKNOWN).astype(np.int32)


def drawn_styles(seeds: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Draws one style per piece, in proportion to the training data.

    Networks learn styles one at a time; a mixture is outside what they have learned.

    Args:
        seeds: int32 [row, 2], as from `_seeds`.
        shares: float32 [styles], adding up to 1.

    Returns:
        float32 [row, styles], one 1 in each row, the same for all rows of a piece.
    """
    keys = [(int(seed), int(second) % MAX_PIECES) for seed, second in seeds]
    numbers = np.array([np.random.default_rng(key).random() for key in keys])
    edges = np.cumsum(shares, dtype=np.float64)
    chosen = np.searchsorted(edges, numbers * edges[-1], side="right")
    return np.eye(len(shares), dtype=np.float32)[np.minimum(chosen, len(shares) - 1)]
