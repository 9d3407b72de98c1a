"""Likelihood of whole pieces: every step counts, and state carries over windows.

A piece of any length runs through windows of fixed shape, so memory does not grow with
its length and each graph is traced once. The first step of each piece counts; the frame
before it is silence. The unit is nats per step: summed over pitches, averaged over
steps.
"""

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from poph_tf import theory
from poph_tf.config import ModelConfig
from poph_tf.config import tracks as tracks_lib
from poph_tf.data import dataset
from poph_tf.data.cells import PLAY
from poph_tf.data.examples import Piece
from poph_tf.data.matrices import Matrices
from poph_tf.errors import InputError
from poph_tf.models import metrics
from poph_tf.models import slices as slices_lib
from poph_tf.models.polyphony_model import PolyphonyModel

Batch = dict[str, tf.Tensor]
Progress = Callable[[int], object]
ReadSplit = Callable[[], Iterable[Piece]]
Sums = dict[str, float]

# Pieces to sort by length together, so that those in a batch have similar lengths.
POOL = 256
# The figures that `evaluate` returns for each style.
STYLE_FIGURES = ("play_nats_per_step", "replay_nats_per_step", "num_steps")


@dataclasses.dataclass(eq=False)
class Scorer:
    """Runs a model over whole pieces, batch by batch.

    Attributes:
        model: the model.
        batch_size: pieces at once.
        window_steps: steps at once.
        slices: parts of a batch that run in parallel (see `models/slices.py`).
        given: names of tracks whose notes are all given and do not count. Pieces are
            then scored in one window, since every step may depend on all of them.
        knows_length: whether the model gets the number of bars left.
    """

    model: PolyphonyModel
    batch_size: int = 8
    window_steps: int = 128
    slices: int = 1
    given: Sequence[str] = ()
    knows_length: bool = False

    def __post_init__(self) -> None:
        self.config = self.model.config
        tracks = self.config.tracks
        self._given_places = [tracks_lib.named(tracks, name) for name in self.given]
        self._run_window = tf.function(self._window, autograph=False)

    def _window(self, inputs: Batch, states: Sequence[Any]) -> tuple[Batch, list[Any]]:
        """Sums over a window, and the state of each slice after it."""
        parts = slices_lib.cut(inputs, self.slices)
        scored = [self._slice(*part) for part in zip(parts, states, strict=True)]
        sums, after = zip(*scored, strict=True)
        return slices_lib.join(list(sums)), list(after)

    def _slice(self, inputs: Mapping[str, Any], state: Any) -> tuple[Batch, Any]:
        network = self.model.network
        hidden, state = network.time_axis(inputs, state)
        outputs = network.pitch_axis(hidden, inputs)
        return self._measured(outputs, inputs), state

    def _measured(self, outputs: Batch, inputs: Mapping[str, Any]) -> Batch:
        """What to keep of a window."""
        return metrics.step_sums(outputs, inputs, self.config)

    def sums(self, pieces: Iterable[Piece], progress: Progress | None = None) -> Sums:
        """Adds up figures over pieces.

        Args:
            pieces: the pieces to score.
            progress: called with the number of pieces done.

        Returns:
            Sums by name for `metrics.summarize`, and the number of `pieces`; empty
            without pieces.
        """
        total: Sums = {}
        for batch in self._batches(pieces):
            total = _added(total, {**self._score_batch(batch), "pieces": len(batch)})
            if progress:
                progress(int(total["pieces"]))
        return total

    def _batches(self, pieces: Iterable[Piece]) -> Iterator[list[Piece]]:
        for pool in _batched(pieces, POOL):
            pool.sort(key=lambda piece: len(piece.matrices))
            yield from _batched(pool, self.batch_size)

    def _score_batch(self, pieces: Sequence[Piece]) -> Sums:
        total: Sums = {}
        for sums in self.windows(pieces):
            total = _added(total, {name: float(value) for name, value in sums.items()})
        return total

    def windows(self, pieces: Sequence[Piece]) -> Iterator[Batch]:
        """Measures each window of a batch, from the first step on."""
        rows = slices_lib.rows_of(self.batch_size, self.slices)
        states = [self.model.network.zero_state(count) for count in rows]
        longest = max(len(piece.matrices) for piece in pieces)
        steps = self.window_steps * (-(-longest // self.window_steps))
        steps = steps if self.given else self.window_steps
        rolls = [roll(piece.matrices, self.config) for piece in pieces]
        for start in range(0, longest, steps):
            inputs = self.inputs(pieces, rolls, slice(start, start + steps))
            sums, states = self._run_window(inputs, states)
            yield sums

    def inputs(
        self, pieces: Sequence[Piece], rolls: Sequence[np.ndarray], window: slice
    ) -> Batch:
        """The model's inputs for a window of steps, masked where pieces end."""
        start, batch, steps = window.start, self.batch_size, window.stop - window.start
        frames = np.zeros((batch, steps + 1, *rolls[0].shape[1:]), np.uint8)
        bars = np.zeros((batch, steps), np.int32)
        left = np.full((batch, steps), theory.UNKNOWN, np.int32)
        mask = np.zeros((batch, steps), np.float32)
        for row, piece in enumerate(pieces):
            seen = rolls[row][max(start - 1, 0) : window.stop]
            # Silence precedes the first step.
            lead = 1 if start == 0 else 0
            frames[row, lead : lead + len(seen)] = seen
            here = piece.matrices.bar_position[window]
            bars[row, : len(here)] = here
            mask[row, : len(here)] = 1.0
            if self.knows_length:
                left[row, : len(here)] = piece.matrices.bars_left[window]
        frames = dataset.to_frames(frames)
        inputs = {
            "previous": frames[:, :-1],
            "current": frames[:, 1:],
            "bar_position": tf.constant(bars),
            "bars_left": tf.constant(left),
            "style": tf.constant(self._styles(pieces)),
            "mask": tf.constant(mask),
        }
        if self.config.tracks:
            given = np.zeros((batch, steps, len(self.config.tracks)), np.float32)
            given[..., self._given_places] = mask[..., None]
            inputs["given"] = tf.constant(given)
        return inputs

    def _styles(self, pieces: Sequence[Piece]) -> np.ndarray:
        names = self.config.styles
        styles = np.zeros((self.batch_size, len(names)), np.float32)
        for row, piece in enumerate(pieces):
            styles[row, names.index(piece.style) if len(names) > 1 else 0] = 1.0
        return styles


def roll(piece: Matrices, config: ModelConfig) -> np.ndarray:
    """What a model sees of a piece: uint8 [time, (track,) pitch, 3]."""
    cells = piece.stack(config.tracks) if config.tracks else piece.cells
    return cells[..., config.pitches, :]


def _added(total: Sums, more: Sums) -> Sums:
    return {name: total.get(name, 0) + value for name, value in more.items()}


def _batched(pieces: Iterable[Piece], size: int) -> Iterator[list[Piece]]:
    iterator = iter(pieces)
    while batch := list(itertools.islice(iterator, size)):
        yield batch


class Marginal:
    """Bernoulli of each (track and) pitch of a split: the least a model must beat.

    Probabilities have add-one smoothing.

    Args:
        pieces: pieces of the training split.
        config: gives the tracks and pitches.
    """

    def __init__(self, pieces: Iterable[Piece], config: ModelConfig) -> None:
        self.config = config
        counts, steps = np.zeros(()), 0
        for piece in pieces:
            play = roll(piece.matrices, config)[..., PLAY]
            counts = counts + play.sum(axis=0)
            steps += len(play)
        self.probability = (counts + 1.0) / (steps + 2.0)

    def nats_per_step(self, pieces: Iterable[Piece]) -> float:
        """Its negative log-likelihood of other pieces, nats per step."""
        nats, steps = 0.0, 0
        sounding, silent = np.log(self.probability), np.log1p(-self.probability)
        for piece in pieces:
            play = roll(piece.matrices, self.config)[..., PLAY].astype(np.float64)
            nats -= (play * sounding + (1.0 - play) * silent).sum()
            steps += len(play)
        return float(nats / max(steps, 1))


def out_of_key_share(pieces: Iterable[Matrices], config: ModelConfig) -> float:
    """Share of sounding cells outside the best-fitting major scale of each piece.

    It depends on the music alone: it is the same for every model with these pitches.
    """
    outside = sounding = 0.0
    for piece in pieces:
        play = piece.play[:, config.pitches]
        counts = theory.class_counts(play.sum(axis=0), config.min_pitch)
        outside += theory.out_of_key_share(counts) * counts.sum()
        sounding += counts.sum()
    return float(outside / sounding) if sounding else 0.0


def evaluate(
    model: PolyphonyModel,
    read_split: Callable[[str], Iterable[Piece]],
    split: str,
    progress: Progress | None = None,
    given: Sequence[str] = (),
    **settings: Any,
) -> dict[str, Any]:
    """All figures of a split, as `poph_tf.evaluate` prints them.

    Args:
        model: the model.
        read_split: returns the pieces of a split by its name; called for each pass, so
            that no split has to fit in memory.
        split: name of the split.
        progress: called with the number of pieces done.
        given: names of tracks, for `nats_per_step_given`: the nats of each other track
            given all of these, and with them the length of the piece.
        **settings: options of `Scorer`.

    Returns:
        Figures, ready for JSON; `styles`: those of each style, None if only one.

    Raises:
        InputError: If the split has no piece that can be read.
    """
    config, read = model.config, functools.partial(read_split, split)
    by_style = _sums_by_style(Scorer(model, **settings), read, progress)
    if not by_style:
        raise InputError(f"The {split} split has no piece that can be read.")
    sums = functools.reduce(_added, by_style.values())
    marginal = Marginal(read_split("train"), config)
    return {
        **metrics.summarize(sums, config),
        **_of_tasks(model, read, given, settings),
        "out_of_key_share": out_of_key_share((p.matrices for p in read()), config),
        "marginal_play_nats_per_step": marginal.nats_per_step(read()),
        "num_pieces": sums["pieces"],
        "styles": _of_styles(by_style, config) if len(config.styles) > 1 else None,
    }


def _of_tasks(
    model: PolyphonyModel,
    read: ReadSplit,
    given: Sequence[str],
    settings: Mapping[str, Any],
) -> dict[str, Any]:
    """The figures of a model that is given the length of pieces, or some tracks."""
    found: dict[str, Any] = {}
    if model.config.bars_left:
        sums = Scorer(model, **settings, knows_length=True).sums(read())
        found["play_nats_per_step_given_length"] = sums["play_nats"] / sums["steps"]
    if given:
        sums = Scorer(model, **settings, given=given).sums(read())
        figures = metrics.summarize(sums, model.config)["nats_per_step_by_track"]
        free = {name: nats for name, nats in figures.items() if name not in given}
        found["nats_per_step_given"] = free
    return found


def _sums_by_style(
    scorer: Scorer, read: ReadSplit, progress: Progress | None
) -> dict[str, Sums]:
    """Sums of each style that has pieces; one pass over the split for each style."""
    styles = scorer.config.styles
    parts: dict[str, Sums] = {}
    done = 0

    def report(count: int) -> None:
        if progress:
            progress(done + count)

    for style in styles:
        # A model of one style scores pieces of all styles.
        pieces = read() if len(styles) == 1 else _of_style(read(), style)
        if sums := scorer.sums(pieces, report):
            parts[style] = sums
            done += int(sums["pieces"])
    return parts


def _of_style(pieces: Iterable[Piece], style: str) -> Iterator[Piece]:
    return (piece for piece in pieces if piece.style == style)


def _of_styles(by_style: dict[str, Sums], config: ModelConfig) -> dict[str, Any]:
    figures = {s: metrics.summarize(sums, config) for s, sums in by_style.items()}
    return {s: {name: f[name] for name in STYLE_FIGURES} for s, f in figures.items()}
