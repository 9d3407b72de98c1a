"""Looks inside a network while it reads a piece.

    surprise     nats of each note: how little the network expected it to begin there
    attention    how much each step recalls each earlier one

A notebook shows both, drawn on the piano roll.
"""

import dataclasses
import os
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from poph_tf import files
from poph_tf.data import bars, examples
from poph_tf.data import cells as cells_lib
from poph_tf.data.matrices import Matrices
from poph_tf.errors import InputError
from poph_tf.evaluation import likelihood
from poph_tf.models import losses
from poph_tf.models.polyphony_model import PolyphonyModel
from poph_tf.rendering import figures, piano_roll

if TYPE_CHECKING:
    from IPython.display import Image
    from matplotlib.figure import Figure

# These nats, and more, are drawn in the darkest red.
MOST_NATS = 4.0


@dataclasses.dataclass(frozen=True, eq=False)
class Surprise:
    """How much each note of a piece surprised a network; a notebook shows it.

    Attributes:
        piece: what was read.
        tracks: the names of the network's tracks; ("",) for a network without tracks.
        notes: by track, float [note, (start, end, pitch, nats)], in steps; nats are NaN
            outside the network's pitches.
        nats_per_step: float [time]: of what sounds in a step and of what does not.
    """

    piece: Matrices
    tracks: tuple[str, ...]
    notes: tuple[np.ndarray, ...]
    nats_per_step: np.ndarray

    def __repr__(self) -> str:
        count = sum(map(len, self.notes))
        return f"<Surprise of {count} notes, {self.mean:.2f} nats each>"

    @property
    def mean(self) -> float:
        """Mean nats per note."""
        return float(np.nanmean(np.concatenate(self.notes)[:, 3]))

    def most(self, count: int = 5) -> list[dict[str, Any]]:
        """The most surprising notes: track, bar and step (from 0), pitch, nats."""
        edges = bars.bar_edges(self.piece.bar_position)
        found: list[dict[str, Any]] = []
        for name, notes in zip(self.tracks, self.notes, strict=True):
            for start, _, pitch, nats in notes[~np.isnan(notes[:, 3])]:
                bar = int(np.searchsorted(edges, start, "right")) - 1
                place = {"bar": bar, "step": int(start - edges[bar])}
                track = {"track": name} if name else {}
                found.append(
                    {**track, **place, "pitch": int(pitch), "nats": float(nats)}
                )
        return sorted(found, key=lambda note: -note["nats"])[:count]

    def figure(self) -> "Figure":
        """The piano roll; the more surprising a note, the darker its red."""
        values = [np.nan_to_num(notes[:, 3]) / MOST_NATS for notes in self.notes]
        title = (
            f"Surprise: from expected (pale) to {MOST_NATS:g} nats and more (dark red)"
        )
        return piano_roll.draw(self.piece, title=title, values=values)

    def plot(self, path: str | os.PathLike[str] | None = None) -> "Image | None":
        """The figure as an image for a notebook, or written to `path` as .png."""
        return _shown(self.figure(), path)

    def _repr_png_(self) -> bytes:
        return figures.to_png(self.figure())


def surprise(model: PolyphonyModel, piece: Matrices, style: str) -> Surprise:
    """Scores a piece note by note.

    The nats of a note are those of its first step: -log of the probability that it
    sounds there given all before it (and the lower notes, or the voices drawn before),
    and that it is struck again if it was already sounding.

    Args:
        model: the network; if it has tracks, the piece must have them too.
        piece: the piece, canonical.
        style: one of the model's styles.

    Raises:
        InputError: If the piece lacks a track of the model.
    """
    cells, steps = _run(model, piece, style)
    tracks = model.config.tracks
    rolls = piece.stack(tracks) if tracks else piece.cells[:, None]
    whole = np.full(rolls.shape[:-1], np.nan)
    whole[:, :, model.config.pitches] = cells
    notes = []
    for k in range(rolls.shape[1]):
        start, end, pitch, _ = cells_lib.spans(rolls[:, k])
        notes.append(np.stack([start, end, pitch, whole[start, k, pitch]], axis=1))
    names = tuple(track.name for track in tracks) or ("",)
    shown = piece if tracks else dataclasses.replace(piece, tracks=())
    return Surprise(shown, names, tuple(notes), steps)


def _run(
    model: PolyphonyModel, piece: Matrices, style: str
) -> tuple[np.ndarray, np.ndarray]:
    """Nats of each cell [time, track, pitch] if it sounds, and of each step [time]."""
    scorer = _CellScorer(model, batch_size=1)
    pieces = [examples.Piece(piece, style, "", "")]
    parts = list(scorer.windows(pieces))
    cells, steps = (
        np.concatenate([part[name][0].numpy() for part in parts])[: len(piece)]
        for name in ("cells", "steps")
    )
    return cells, steps


class _CellScorer(likelihood.Scorer):
    """Measures the nats of cells, not their sums."""

    def _measured(self, outputs: likelihood.Batch, inputs: Any) -> likelihood.Batch:
        play, replay, _ = tf.unstack(inputs["current"], axis=-1)
        tracks, logits = self.config.tracks, outputs["play"]
        nats = losses.bernoulli_nats(play, logits)
        if tracks:
            voice = -losses.voice_log_probability(logits)
            nats = tf.where(losses.is_voice(tracks)[:, None], voice, nats)
        steps = losses.play_nats_of_tracks(play, logits, tracks)
        if "replay" in outputs:
            possible = losses.replay_possible(play, inputs["previous"][..., 0])
            again = possible * losses.bernoulli_nats(replay, outputs["replay"])
            nats, steps = nats + again, steps + tf.reduce_sum(again, axis=-1)
        if not tracks:
            return {"cells": nats[:, :, None], "steps": steps}
        return {"cells": nats, "steps": tf.reduce_sum(steps, axis=-1)}


@dataclasses.dataclass(frozen=True, eq=False)
class Attention:
    """What a network recalls along time while it reads a piece.

    Attributes:
        piece: what was read.
        weights: float32 [head, time, step]: how much of each step's attention goes to
            each earlier step; the rest, up to 1, goes nowhere.
    """

    piece: Matrices
    weights: np.ndarray

    def __repr__(self) -> str:
        return f"<Attention of {len(self.weights)} heads over {len(self.piece)} steps>"

    @property
    def by_bar(self) -> np.ndarray:
        """float32 [bar, bar]: how much a step of a bar recalls each bar, on average."""
        edges = bars.bar_edges(self.piece.bar_position)
        sums = np.add.reduceat(self.weights.mean(axis=0), edges[:-1], axis=1)
        sums = np.add.reduceat(sums, edges[:-1], axis=0)
        return sums / np.diff(edges)[:, None]

    def figure(self, bar: int | None = None) -> "Figure":
        """Which bars each bar recalls; or, for one bar, which steps, on the piano roll.

        Args:
            bar: the bar, counted from 0; None draws all against all.

        Raises:
            InputError: If there is no such bar.
        """
        edges = bars.bar_edges(self.piece.bar_position)
        if bar is None:
            return _heat(self.by_bar)
        if not 0 <= bar < len(edges) - 1:
            raise InputError(f"bar must be 0 to {len(edges) - 2}, got {bar}.")
        steps = self.weights[:, edges[bar] : edges[bar + 1]].mean(axis=(0, 1))
        title = f"What bar {bar + 1} recalls: the redder, the more"
        shade = steps / max(steps.max(), 1e-9)
        return piano_roll.draw(self.piece, title=title, shade=shade)

    def plot(
        self, bar: int | None = None, path: str | os.PathLike[str] | None = None
    ) -> "Image | None":
        """The figure as an image for a notebook, or written to `path` as .png."""
        return _shown(self.figure(bar), path)

    def _repr_png_(self) -> bytes:
        return figures.to_png(self.figure())


def attention(model: PolyphonyModel, piece: Matrices, style: str) -> Attention:
    """Reads a piece and keeps the weights of the attention along time.

    Args:
        model: a network with attention along time by frames.
        piece: the piece, canonical.
        style: one of the model's styles.

    Raises:
        InputError: If the model has no such attention.
    """
    if model.config.time_attention != "frames":
        raise InputError(
            "Attention can only be shown for models with time_attention=frames, this "
            f"one has {model.config.time_attention}."
        )
    layer = model.get_layer("frame_attention")
    scorer = likelihood.Scorer(model, batch_size=1)
    pieces = [examples.Piece(piece, style, "", "")]
    rolls = [likelihood.roll(piece, model.config)]
    inputs = scorer.inputs(pieces, rolls, slice(0, len(piece)))
    before = keras.Model(model.inputs, layer.input)
    x, previous = before(model.own_inputs(inputs))
    return Attention(piece, layer.attention_weights(x, previous)[0].numpy())


def _heat(by_bar: np.ndarray) -> "Figure":
    size = 2.0 + min(0.25 * len(by_bar), 8.0)
    figure = figures.new_figure(size + 1, size)
    axes = figure.subplots()
    drawn = axes.imshow(by_bar, cmap="Reds", vmin=0)
    figures.tidy(axes, "What each bar recalls of the bars before")
    axes.grid(visible=False)
    ticks = np.arange(0, len(by_bar), max(len(by_bar) // 8, 1))
    axes.set(xticks=ticks, yticks=ticks, xlabel="recalled bar", ylabel="bar")
    axes.set_xticklabels(ticks + 1)
    axes.set_yticklabels(ticks + 1)
    figure.colorbar(drawn, ax=axes, shrink=0.8)
    return figure


def _shown(figure: "Figure", path: str | os.PathLike[str] | None) -> "Image | None":
    if path is not None:
        files.write_output(path, figures.to_png(figure))
        return None
    from IPython.display import Image

    return Image(data=figures.to_png(figure), format="png")
