"""Likelihood of whole pieces: every step counts, the state carried over windows.

A piece of any length runs through windows of fixed shape, so that memory does not
grow with it and nothing is traced twice. The first step of each piece counts; its
previous frame is silence.
"""

import itertools

import numpy as np
import tensorflow as tf

from poph_tf import theory
from poph_tf.data import dataset
from poph_tf.errors import InputError
from poph_tf.models import metrics
from poph_tf.models import slices as slices_lib

# Pieces that are sorted by length together, so that those in a batch are alike.
POOL = 256


class Scorer:
    """Runs a model over whole pieces, batch by batch.

    Args:
        model: PolyphonyModel.
        batch_size: int. Pieces at once.
        window_steps: int. Steps at once.
        slices: int. Into how many parts a batch is cut, see `cores`.
    """

    def __init__(self, model, batch_size=8, window_steps=128, slices=1):
        self.model = model
        self.config = model.config
        self.batch_size = batch_size
        self.window_steps = window_steps
        self.slices = slices
        self._run_window = tf.function(self._window, autograph=False)

    def _window(self, inputs, states):
        """Sums of a window and the states after it, a state for each slice."""
        parts = [
            self._slice(part, state)
            for part, state in zip(
                slices_lib.cut(inputs, self.slices), states, strict=True
            )
        ]
        return slices_lib.join([sums for sums, _ in parts]), [
            state for _, state in parts
        ]

    def _slice(self, inputs, state):
        network = self.model.network
        hidden, state = network.time_axis(inputs, state)
        outputs = network.pitch_axis(hidden, inputs)
        return metrics.step_sums(outputs, inputs, self.config), state

    def sums(self, pieces, progress=None):
        """Adds the figures' sums up over pieces.

        Args:
            pieces: iterable of examples.Piece.
            progress: called with the number of pieces done, or None.

        Returns:
            dict of name to float, for `metrics.summarize`, and `pieces`; empty where
            there are none.
        """
        total, done = {}, 0
        for batch in self._batches(pieces):
            for name, value in self._score_batch(batch).items():
                total[name] = total.get(name, 0.0) + value
            done += len(batch)
            if progress:
                progress(done)
        return total | {"pieces": done} if done else {}

    def _batches(self, pieces):
        for pool in _batched(pieces, POOL):
            pool = sorted(pool, key=lambda piece: len(piece.matrices.cells))
            yield from _batched(pool, self.batch_size)

    def _score_batch(self, pieces):
        longest = max(len(piece.matrices.cells) for piece in pieces)
        states = [
            self.model.network.zero_state(rows)
            for rows in slices_lib.rows_of(self.batch_size, self.slices)
        ]
        total = {}
        for start in range(0, longest, self.window_steps):
            inputs = self._inputs(pieces, start)
            sums, states = self._run_window(inputs, states)
            for name, value in sums.items():
                total[name] = total.get(name, 0.0) + float(value)
        return total

    def _inputs(self, pieces, start):
        """The window from step `start`, of fixed shape, masked where pieces end."""
        steps, config = self.window_steps, self.config
        low, high = config.min_pitch, config.min_pitch + config.num_pitches
        frames = np.zeros((self.batch_size, steps + 1, config.num_pitches, 3), np.uint8)
        bars = np.zeros((self.batch_size, steps), np.int32)
        mask = np.zeros((self.batch_size, steps), np.float32)
        for row, piece in enumerate(pieces):
            cells = piece.matrices.cells[:, low:high]
            before = max(start - 1, 0)
            seen = cells[before : start + steps]
            lead = 1 if start == 0 else 0
            frames[row, lead : lead + len(seen)] = seen
            here = piece.matrices.bar_position[start : start + steps]
            bars[row, : len(here)] = here
            mask[row, : len(here)] = 1.0
        frames = dataset.to_frames(frames)
        return {
            "previous": frames[:, :-1],
            "current": frames[:, 1:],
            "bar_position": tf.constant(bars),
            "style": tf.constant(self._styles(pieces)),
            "mask": tf.constant(mask),
        }

    def _styles(self, pieces):
        names = list(self.config.styles)
        styles = np.zeros((self.batch_size, len(names)), np.float32)
        for row, piece in enumerate(pieces):
            place = names.index(piece.style) if len(names) > 1 else 0
            styles[row, place] = 1.0
        return styles


def _batched(iterable, size):
    iterator = iter(iterable)
    while batch := list(itertools.islice(iterator, size)):
        yield batch


class Marginal:
    """Per-pitch Bernoulli of a split, add-one smoothed: what any model must beat.

    Args:
        pieces: iterable of examples.Piece, of the training split.
        config: ModelConfig, for the pitches.
    """

    def __init__(self, pieces, config):
        self.pitches = slice(config.min_pitch, config.min_pitch + config.num_pitches)
        counts, steps = np.zeros(config.num_pitches), 0
        for piece in pieces:
            play = piece.matrices.cells[:, self.pitches, 0]
            counts += play.sum(axis=0)
            steps += len(play)
        self.probability = (counts + 1.0) / (steps + 2.0)

    def nats_per_step(self, pieces):
        """Its negative log-likelihood of other pieces, nats per step."""
        nats, steps = 0.0, 0
        odds = np.log(self.probability), np.log1p(-self.probability)
        for piece in pieces:
            play = piece.matrices.cells[:, self.pitches, 0].astype(np.float64)
            nats -= (play @ odds[0]).sum() + ((1.0 - play) @ odds[1]).sum()
            steps += len(play)
        return float(nats / max(steps, 1))


def out_of_key_share(pieces, config):
    """Share of sounding cells outside the best-fitting major scale of each piece."""
    outside = sounding = 0.0
    for piece in pieces:
        low = config.min_pitch
        play = piece.matrices.cells[:, low : low + config.num_pitches, 0]
        counts = theory.class_counts(play.sum(axis=0), low)
        outside += theory.out_of_key_share(counts) * counts.sum()
        sounding += counts.sum()
    return float(outside / sounding) if sounding else 0.0


def evaluate(model, read_split, split, progress=None, **settings):
    """All figures of a split, as `poph_tf.evaluate` prints them.

    Args:
        model: PolyphonyModel.
        read_split: function of a split's name that yields its pieces; called anew for
            each pass, so that no split has to fit in memory.
        split: str.
        progress: called with the number of pieces done, or None.
        **settings: of `Scorer`.

    Returns:
        dict, JSON-ready; `styles` holds the nats of each style by itself, None for a
        model that knows one style.
    """
    scorer = Scorer(model, **settings)
    by_style = _sums_by_style(scorer, lambda: read_split(split), progress)
    if not by_style:
        raise InputError(f"The {split} split has no piece that can be read.")
    sums = {
        name: sum(part[name] for part in by_style.values())
        for name in next(iter(by_style.values()))
    }
    marginal = Marginal(read_split("train"), model.config)
    figures = metrics.summarize(sums, model.config)
    return {
        **figures,
        "out_of_key_share": out_of_key_share(read_split(split), model.config),
        "marginal_play_nats_per_step": marginal.nats_per_step(read_split(split)),
        "num_pieces": sums["pieces"],
        "styles": _of_styles(by_style, model.config),
    }


# What `evaluate` tells of each style.
STYLE_FIGURES = ("play_nats_per_step", "replay_nats_per_step", "num_steps")


def _sums_by_style(scorer, read, progress):
    """Sums of each style that has pieces; one pass over the split for each style."""
    styles = scorer.config.styles
    parts, done = {}, 0
    for style in styles:
        pieces = read() if len(styles) == 1 else _of_style(read(), style)
        report = progress and (lambda count, before=done: progress(before + count))
        sums = scorer.sums(pieces, report)
        if sums:
            parts[style] = sums
            done += sums["pieces"]
    return parts


def _of_style(pieces, style):
    return (piece for piece in pieces if piece.style == style)


def _of_styles(by_style, config):
    if len(config.styles) == 1:
        return None
    summaries = {
        style: metrics.summarize(sums, config) for style, sums in by_style.items()
    }
    return {
        style: {name: figures[name] for name in STYLE_FIGURES}
        for style, figures in summaries.items()
    }
