"""The curve of a training run as a figure, from its `metrics.jsonl`.

Above: nats per step of play against optimizer steps, of the training windows (with
dropout, since the validation before) and of the validation pieces; the scale on top
shows the hours spent in optimizer steps. Below: the resident memory at each validation,
where it was recorded; it is flat in a run without a leak.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from poph_tf.rendering.figures import BLUE, INK, RED, new_figure, tidy


def series(validations: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """The numbers to draw, one for each validation, None where unknown.

    Args:
        validations: from `metrics_file.read`.

    Returns:
        `steps`, `hours` (in optimizer steps since the run began), `train`, `valid`
        (nats per step of play), `memory_mb`.
    """
    hours, seconds = [], 0.0
    for figures in validations:
        # Older runs recorded only the seconds since the validation before.
        seconds = figures.get("training_seconds", seconds + figures["seconds"])
        hours.append(seconds / 3600)
    nats = "play_nats_per_step"
    return {
        "steps": [figures["step"] for figures in validations],
        "hours": hours,
        "train": [figures["train"].get(nats) for figures in validations],
        "valid": [figures["valid"].get(nats) for figures in validations],
        "memory_mb": [figures.get("memory_mb") for figures in validations],
    }


def summary(validations: Sequence[Mapping[str, Any]]) -> str:
    """One line of text: first and best validation, hours, memory."""
    run = series(validations)
    best, best_step = min(zip(run["valid"], run["steps"], strict=True))
    text = (
        f"{run['steps'][-1]} steps in {run['hours'][-1]:.2f} h: valid "
        f"{run['valid'][0]:.3f} nats/step at step {run['steps'][0]}, best "
        f"{best:.3f} at step {best_step}"
    )
    memory = [size for size in run["memory_mb"] if size is not None]
    if memory:
        text += f"; resident memory {memory[0]:.0f} MB first, {memory[-1]:.0f} MB last"
    return text


def draw(validations: Sequence[Mapping[str, Any]], title: str = "") -> Any:
    """Draws the curve as a matplotlib figure.

    Raises:
        InputError: If matplotlib is missing.
    """
    run = {name: np.array(x, float) for name, x in series(validations).items()}
    panels = [[("train", BLUE), ("valid", RED)], [("memory_mb", INK)]]
    if np.isnan(run["memory_mb"]).all():
        panels = panels[:1]
    figure = new_figure(8.0, 5.6)
    rows = figure.subplots(
        len(panels), 1, sharex=True, squeeze=False, height_ratios=(3, 1)[: len(panels)]
    )[:, 0]
    for axes, lines in zip(rows, panels, strict=True):
        for name, color in lines:
            known = ~np.isnan(run[name])
            x, y = run["steps"][known], run[name][known]
            axes.plot(x, y, ".-", color=color, lw=1.4, label=name)
        tidy(axes)
    rows[0].set_ylabel("nats per step, play", fontsize=9, color=INK)
    rows[0].legend(fontsize=9, frameon=False, loc="upper right")
    _add_hours(rows[0], run)
    if len(rows) > 1:
        rows[1].set_ylim(bottom=0)
        rows[1].set_ylabel("resident MB", fontsize=9, color=INK)
    rows[-1].set_xlabel("optimizer steps", fontsize=9, color=INK)
    figure.suptitle(title, fontsize=10, color=INK)
    return figure


def draw_together(runs: Mapping[str, Sequence[Mapping[str, Any]]], title: str) -> Any:
    """Draws validation against minutes of training, a line for each run.

    Args:
        runs: validations, see `metrics_file.read`, by the name of the run.
        title: printed above.

    Raises:
        InputError: If matplotlib is missing.
    """
    figure = new_figure(8.0, 4.6)
    axes = figure.subplots()
    for name, validations in runs.items():
        run = series(validations)
        minutes = 60 * np.array(run["hours"])
        axes.plot(minutes, run["valid"], ".-", lw=1.4, label=name)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("{x:g}")
    tidy(axes)
    axes.tick_params(which="both", labelsize=8)
    axes.set_xlabel("minutes in optimizer steps", fontsize=9, color=INK)
    axes.set_ylabel("nats per step, play, valid", fontsize=9, color=INK)
    axes.legend(fontsize=9, frameon=False, loc="upper right")
    figure.suptitle(title, fontsize=10, color=INK)
    return figure


def _add_hours(axes: Any, run: Mapping[str, np.ndarray]) -> None:
    """Adds a scale on top: hours at some of the validations."""
    top = axes.twiny()
    top.set_xlim(axes.get_xlim())
    every = max(len(run["steps"]) // 6, 1)
    hours = [f"{value:.2f} h" for value in run["hours"][every - 1 :: every]]
    top.set_xticks(run["steps"][every - 1 :: every], hours)
    tidy(top)
    top.grid(visible=False)
