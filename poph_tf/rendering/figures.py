"""The common style of all charts. matplotlib is imported when something is drawn."""

import io
import os
from typing import TYPE_CHECKING, Any

from poph_tf import files
from poph_tf.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, GRID = "#45423c", "#e3e0da"
RED, BLUE = "#d2553f", "#2f66ab"
DOTS_PER_INCH = 110


def new_figure(width: float, height: float, **options: Any) -> "Figure":
    """Makes an empty figure of `width` by `height` inches.

    Args:
        width: In inches.
        height: In inches.
        **options: Further arguments of matplotlib's `Figure`.

    Raises:
        InputError: If matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise InputError(
            "Pictures need matplotlib, which is not installed: pip install matplotlib"
        ) from error
    look = {"layout": "constrained", "facecolor": "white"} | options
    figure = Figure(figsize=(width, height), **look)
    FigureCanvasAgg(figure)
    return figure


def to_png(figure: "Figure") -> bytes:
    """Returns the figure as the content of a PNG file."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=DOTS_PER_INCH)
    return stream.getvalue()


def save(figure: "Figure", path: str | os.PathLike[str]) -> None:
    """Writes a figure as a .png file.

    Raises:
        InputError: If it cannot be written.
    """
    files.write_output(path, to_png(figure))


def tidy(axes: "Axes", title: str = "") -> None:
    """Sets the title and removes frames and ticks."""
    axes.set_title(title, fontsize=9, color=INK, loc="left")
    axes.tick_params(labelsize=7, colors=INK, length=0)
    axes.grid(axis="y", color=GRID, lw=0.6)
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)
