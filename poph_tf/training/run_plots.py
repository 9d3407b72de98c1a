"""The curve of a training run as a picture, drawn from its `metrics.jsonl`.

Above, nats per step of play against optimizer steps, of the training windows (with
dropout, since the validation before) and of the validation pieces; the scale on top
tells the hours that the run had spent in optimizer steps by then. Below, the
resident memory at each validation, where it was recorded: a run without a leak is flat
there.
"""

import json
import os

from poph_tf.errors import InputError
from poph_tf.rendering.figures import BLUE, INK, RED, new_figure, save, tidy

METRICS_FILE = "metrics.jsonl"


def read(model_dir):
    """Reads the validations of a run.

    Args:
        model_dir: str.

    Returns:
        list of dict, in the order of their steps; half a line at the end is left out.

    Raises:
        InputError: If there are none.
    """
    path = os.path.join(str(model_dir), METRICS_FILE)
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = file.readlines()
    except OSError as error:
        raise InputError(
            f"{path}: {error.strerror}; give the --model_dir of a run of poph_tf.train."
        ) from error
    found = [figures for line in lines if (figures := _figures(line))]
    if not found:
        raise InputError(f"{path} holds no validation yet.")
    return found


def _figures(line):
    try:
        figures = json.loads(line)
        return figures if "valid" in figures else None
    except (ValueError, TypeError):
        return None


def series(validations):
    """What is drawn, from the lines of `read`.

    Returns:
        dict of name to list with a number for each validation, or None where it is
        not known: `steps`, `hours` (spent in optimizer steps since the run began),
        `train`, `valid` (nats per step of play), `memory_mb`.
    """
    hours, seconds = [], 0.0
    for figures in validations:
        # Older runs told only the seconds since the validation before.
        seconds = figures.get("training_seconds", seconds + figures["seconds"])
        hours.append(seconds / 3600)
    name = "play_nats_per_step"
    return {
        "steps": [figures["step"] for figures in validations],
        "hours": hours,
        "train": [figures["train"].get(name) for figures in validations],
        "valid": [figures["valid"].get(name) for figures in validations],
        "memory_mb": [figures.get("memory_mb") for figures in validations],
    }


def summary(validations):
    """One line of text: first and best validation, hours, memory."""
    drawn = series(validations)
    best = min(drawn["valid"])
    place = drawn["valid"].index(best)
    text = (
        f"{drawn['steps'][-1]} steps in {drawn['hours'][-1]:.2f} h: valid "
        f"{drawn['valid'][0]:.3f} nats/step at step {drawn['steps'][0]}, best "
        f"{best:.3f} at step {drawn['steps'][place]}"
    )
    memory = [size for size in drawn["memory_mb"] if size is not None]
    if memory:
        text += f"; resident memory {memory[0]:.0f} MB first, {memory[-1]:.0f} MB last"
    return text


def draw(validations, path, title=""):
    """Draws the curve as a .png.

    Args:
        validations: list of `read`.
        path: str.
        title: str.

    Raises:
        InputError: If matplotlib is missing, or it cannot be written.
    """
    drawn = series(validations)
    has_memory = any(size is not None for size in drawn["memory_mb"])
    heights = (3, 1) if has_memory else (1,)
    figure = new_figure(8.0, 5.6)
    panels = figure.subplots(
        len(heights), 1, sharex=True, squeeze=False, height_ratios=heights
    )[:, 0]
    for name, color in (("train", BLUE), ("valid", RED)):
        _line(panels[0], drawn["steps"], drawn[name], color, name)
    panels[0].set_ylabel("nats per step, play", fontsize=9, color=INK)
    panels[0].legend(fontsize=9, frameon=False, loc="upper right")
    if has_memory:
        _line(panels[1], drawn["steps"], drawn["memory_mb"], INK, "memory")
        panels[1].set_ylim(bottom=0)
        panels[1].set_ylabel("resident MB", fontsize=9, color=INK)
    panels[-1].set_xlabel("optimizer steps", fontsize=9, color=INK)
    for axes in panels:
        tidy(axes)
    _hours(panels[0], drawn)
    if title:
        figure.suptitle(title, fontsize=10, color=INK)
    save(figure, path)


def _line(axes, steps, values, color, label):
    known = [(s, v) for s, v in zip(steps, values, strict=True) if v is not None]
    if known:
        axes.plot(*zip(*known, strict=True), ".-", color=color, lw=1.4, label=label)


def _hours(axes, drawn):
    """A second scale on top: hours worked at a few of the validations."""
    top = axes.twiny()
    top.set_xlim(axes.get_xlim())
    every = max(len(drawn["steps"]) // 6, 1)
    places = range(every - 1, len(drawn["steps"]), every)
    top.set_xticks(
        [drawn["steps"][k] for k in places],
        [f"{drawn['hours'][k]:.2f} h" for k in places],
    )
    tidy(top)
    top.grid(visible=False)
