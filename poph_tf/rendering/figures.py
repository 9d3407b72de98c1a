"""What all charts share: one look, one way to be saved.

matplotlib is asked for only when something is drawn.
"""

import os
import pathlib

from poph_tf.errors import InputError

INK, GRID = "#45423c", "#e3e0da"
RED, BLUE = "#d2553f", "#2f66ab"
DOTS_PER_INCH = 110


def new_figure(width, height):
    """An empty matplotlib figure.

    Args:
        width, height: float, inches.

    Raises:
        InputError: If matplotlib is missing.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise InputError(
            "Pictures need matplotlib, which is not installed: pip install matplotlib"
        ) from error
    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def save(figure, path):
    """Writes a figure as a .png, whole or not at all.

    Raises:
        InputError: If it cannot be written.
    """
    path = pathlib.Path(path)
    partial = path.with_name(f".{path.name}.partial")
    try:
        figure.savefig(partial, format="png", dpi=DOTS_PER_INCH)
        os.replace(partial, path)
    except OSError as error:
        raise InputError(f"Cannot write {path}: {error.strerror}.") from error


def tidy(axes, title=""):
    """Takes away whatever is not data."""
    axes.set_title(title, fontsize=9, color=INK, loc="left")
    axes.tick_params(labelsize=7, colors=INK, length=0)
    axes.grid(axis="y", color=GRID, lw=0.6)
    axes.set_axisbelow(True)
    for side in axes.spines.values():
        side.set_visible(False)
