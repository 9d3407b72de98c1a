"""Figures of a comparison: measures of every piece, and histograms of both sets."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from poph_tf import theory
from poph_tf.evaluation import distances
from poph_tf.evaluation.comparison import PieceSet
from poph_tf.rendering.figures import BLUE, INK, RED, new_figure, tidy

COLUMNS = 5
_STEPS = [str(k) if k in (1, 2, 4, 8, 12, 16) else "" for k in range(1, 17)]
# The label of each histogram's axis, and its ticks.
AXES: dict[str, tuple[str, Sequence[str]]] = {
    "pitch_classes": (
        "pitch class",
        [name if len(name) == 1 else "" for name in theory.PITCH_CLASS_NAMES],
    ),
    "note_lengths": ("note length in steps, 16: and longer", _STEPS),
    "onset_intervals": ("steps between attacks, 16: and more", _STEPS),
    "pitch_intervals": (
        "move of the top voice in semitones",
        ["" if k % 6 else str(k) for k in range(-12, 13)],
    ),
}
SETS = (("composed", RED), ("real", BLUE))


def measures(result: Mapping[str, Any]) -> Any:
    """Draws one panel for each measure: a dot for every piece, lines for the means.

    Args:
        result: from `comparison.compare`.

    Raises:
        InputError: If matplotlib is missing.
    """
    names = list(result["measures"])
    rows = -(-len(names) // COLUMNS)
    figure = new_figure(2.3 * COLUMNS, 2.0 * rows)
    panels = figure.subplots(rows, COLUMNS, squeeze=False).reshape(-1)
    sets = (list(result["pieces"].values()), result["reference_pieces"])
    for axes, name in zip(panels, names, strict=False):
        for place, pieces in enumerate(sets):
            values = [v for piece in pieces if (v := piece.get(name)) is not None]
            _draw_dots(axes, place, SETS[place][1], values)
        axes.set_xlim(-0.6, 1.6)
        axes.set_xticks([0, 1], [label for label, _ in SETS])
        tidy(axes, name.replace("_", " "))
    for axes in panels[len(names) :]:
        axes.set_visible(False)
    return figure


def _draw_dots(axes: Any, place: int, color: str, values: Sequence[float]) -> None:
    if not values:
        return
    # Spread evenly in the order of the pieces, so that a figure is always the same.
    spread = np.linspace(-0.28, 0.28, len(values)) if len(values) > 1 else np.zeros(1)
    axes.plot(place + spread, values, ".", color=color, alpha=0.45, ms=4, mew=0)
    mean = float(np.mean(values))
    axes.plot((place - 0.35, place + 0.35), (mean, mean), color=color, lw=2)


def histograms(
    result: Mapping[str, Any], composed: PieceSet, reference: PieceSet
) -> Any:
    """Draws the shares of notes of both sets above the densities of distances.

    Args:
        result: from `comparison.compare` of the two sets.
        composed: composed pieces.
        reference: real pieces.

    Raises:
        InputError: If matplotlib is missing.
    """
    names = list(distances.HISTOGRAMS)
    figure = new_figure(4.0 * len(names), 5.2)
    panels = figure.subplots(2, len(names))
    for column, name in enumerate(names):
        shares = [
            distances.normalized(pieces.histograms(name))
            for pieces in (composed, reference)
        ]
        _draw_shares(panels[0, column], name, shares)
        _draw_densities(panels[1, column], result["distances"][name], *shares)
    # Rhythms are sparse on the right, where the legends have room.
    for row in panels:
        row[1].legend(fontsize=8, frameon=False, loc="upper right")
    return figure


def _draw_shares(axes: Any, name: str, shares: Sequence[np.ndarray]) -> None:
    label, ticks = AXES[name]
    bins = np.arange(len(ticks))
    for offset, (of, color), rows in zip((-0.2, 0.2), SETS, shares, strict=True):
        if len(rows):
            axes.bar(bins + offset, rows.mean(0), 0.4, color=color, label=of)
    axes.set_xticks(bins, ticks)
    axes.set_xlabel(label, fontsize=8, color=INK)
    tidy(axes, f"{name.replace('_', ' ')}: share, mean over pieces")


def _draw_densities(
    axes: Any,
    found: Mapping[str, float | None],
    composed: np.ndarray,
    reference: np.ndarray,
) -> None:
    title = "too few pieces"
    if found["overlap_area"] is not None:
        intra = distances.within(reference)
        inter = distances.between(composed, reference)
        grid = distances.common_grid(intra, inter)
        for color, label, pairs in (
            (BLUE, "real – real", intra),
            (RED, "composed – real", inter),
        ):
            height = distances.density(pairs, grid)
            axes.plot(grid, height, color=color, lw=1.4, label=label)
            axes.fill_between(grid, height, color=color, alpha=0.15, lw=0)
        title = (
            f"distances: overlap area {found['overlap_area']:.2f}, "
            f"KL {found['kl_divergence']:.2f}"
        )
    axes.set_yticks([])
    axes.set_xlabel("distance of two pieces", fontsize=8, color=INK)
    tidy(axes, title)
