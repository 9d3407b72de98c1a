"""Pictures of a comparison: measures of every piece, and histograms of both sets."""

import pathlib

import numpy as np

from poph_tf.evaluation import distances
from poph_tf.rendering.figures import BLUE, INK, RED, new_figure, save, tidy

COMPOSED, REAL = RED, BLUE
COLUMNS = 5
TICKS = {
    "pitch_classes": ["C", "", "D", "", "E", "F", "", "G", "", "A", "", "B"],
    "note_lengths": [str(k) if k in (1, 2, 4, 8, 12, 16) else "" for k in range(1, 17)],
    "onset_intervals": [
        str(k) if k in (1, 2, 4, 8, 12, 16) else "" for k in range(1, 17)
    ],
    "pitch_intervals": [str(k) if k % 6 == 0 else "" for k in range(-12, 13)],
}
AXIS_NAMES = {
    "pitch_classes": "pitch class",
    "note_lengths": "note length in steps, 16: and longer",
    "onset_intervals": "steps between attacks, 16: and more",
    "pitch_intervals": "move of the top voice in semitones",
}


def write(result, composed, reference, output_dir):
    """Writes `measures.png` and `histograms.png`.

    Args:
        result: dict of `comparison.compare`.
        composed, reference: comparison.PieceSet.
        output_dir: str or path of an existing folder.

    Raises:
        InputError: If matplotlib is missing or they cannot be written.
    """
    folder = pathlib.Path(output_dir)
    save(_draw_measures(result), folder / "measures.png")
    save(_draw_histograms(result, composed, reference), folder / "histograms.png")


def _draw_measures(result):
    """One small picture a measure: every piece a dot, the means as lines."""
    names = list(result["measures"])
    rows = -(-len(names) // COLUMNS)
    figure = new_figure(2.3 * COLUMNS, 2.0 * rows)
    panels = figure.subplots(rows, COLUMNS, squeeze=False).reshape(-1)
    sets = (
        (0, COMPOSED, list(result["pieces"].values())),
        (1, REAL, result["reference_pieces"]),
    )
    for axes, name in zip(panels, names, strict=False):
        for place, color, pieces in sets:
            values = [piece.get(name) for piece in pieces]
            _draw_dots(axes, place, color, [v for v in values if v is not None])
        axes.set_xlim(-0.6, 1.6)
        axes.set_xticks([0, 1], ["composed", "real"])
        tidy(axes, name.replace("_", " "))
    for axes in panels[len(names) :]:
        axes.set_visible(False)
    return figure


def _draw_dots(axes, place, color, values):
    if not values:
        return
    # Spread evenly in the order they come: a picture is the same each time.
    spread = np.linspace(-0.28, 0.28, len(values)) if len(values) > 1 else [0.0]
    axes.plot(
        place + np.array(spread), values, ".", color=color, alpha=0.45, ms=4, mew=0
    )
    mean = float(np.mean(values))
    axes.plot((place - 0.35, place + 0.35), (mean, mean), color=color, lw=2)


def _draw_histograms(result, composed, reference):
    """Above the shares of notes of both sets, below the densities of distances."""
    names = list(distances.HISTOGRAMS)
    figure = new_figure(4.0 * len(names), 5.2)
    panels = figure.subplots(2, len(names))
    for column, name in enumerate(names):
        shares = [
            distances.normalized(pieces.histograms(name))
            for pieces in (composed, reference)
        ]
        _draw_shares(panels[0, column], name, shares)
        _draw_densities(panels[1, column], result["distances"][name], shares)
    # Rhythms are sparse on the right: there is room for the legends.
    for row in panels:
        row[1].legend(fontsize=8, frameon=False, loc="upper right")
    return figure


def _draw_shares(axes, name, shares):
    bins = np.arange(len(TICKS[name]))
    for offset, color, label, rows in (
        (-0.2, COMPOSED, "composed", shares[0]),
        (0.2, REAL, "real", shares[1]),
    ):
        if len(rows):
            axes.bar(bins + offset, rows.mean(0), 0.4, color=color, label=label)
    axes.set_xticks(bins, TICKS[name])
    axes.set_xlabel(AXIS_NAMES[name], fontsize=8, color=INK)
    tidy(axes, f"{name.replace('_', ' ')}: share, mean over pieces")


def _draw_densities(axes, figures, shares):
    composed, reference = shares
    title = "too few pieces"
    if figures["overlap_area"] is not None:
        intra = distances.within(reference)
        inter = distances.between(composed, reference)
        grid = distances.common_grid(intra, inter)
        for color, label, pairs in (
            (REAL, "real – real", intra),
            (COMPOSED, "composed – real", inter),
        ):
            height = distances.density(pairs, grid)
            axes.plot(grid, height, color=color, lw=1.4, label=label)
            axes.fill_between(grid, height, color=color, alpha=0.15, lw=0)
        title = (
            f"distances: overlap area {figures['overlap_area']:.2f}, "
            f"KL {figures['kl_divergence']:.2f}"
        )
    axes.set_yticks([])
    axes.set_xlabel("distance of two pieces", fontsize=8, color=INK)
    tidy(axes, title)
