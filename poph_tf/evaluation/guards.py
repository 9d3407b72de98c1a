"""Two-sided guards: figures of composed pieces must be close to those of real ones.

Dull or wild music can score well where a measure only has to be high or low: with one
long chord, one repeated bar, or copies. Each guard is a figure of the composed pieces
with the range that the same figure of the real pieces allows.
"""

from collections.abc import Mapping
from typing import Any

from poph_tf.evaluation import distances, results

# Multiples of the real figure between which the composed one must lie.
RANGES = {
    "notes_per_bar": (0.85, 1.15),
    "chord_changes_per_bar": (0.85, 1.15),
    "distinct_bars": (0.85, 1.15),
    "complete_triads": (0.93, 1.07),
    "returning_figures": (0.5, 1.45),
    "resembling_bars": (0.6, 1.5),
    # Copies from the training pieces, and from the other pieces of the same set.
    "copied_attacks": (0.0, 1.0),
    "shared_attacks": (0.0, 1.0),
}
# Largest share of a mean histogram that may lie in other bins than in real pieces.
MOVED = 0.15
HISTOGRAMS = ("pitch_intervals", "note_lengths")

Guards = dict[str, dict[str, Any]]


def check(measures: Mapping[str, Any], sets: Mapping[str, Any]) -> Guards:
    """The guards of a comparison.

    Args:
        measures: name -> set -> mean, from `comparison.compare`.
        sets: the two `PieceSet`, composed and reference.

    Returns:
        name -> `composed`, `real`, `low`, `high`, and whether it is `within`; for a
        histogram, `composed` is the share that lies in other bins.
    """
    found: Guards = {}
    for name, (low, high) in RANGES.items():
        composed, real = (measures[name][key]["mean"] for key in sets)
        if composed is not None and real is not None:
            found[name] = _guard(composed, real, low * real, high * real)
    for name in HISTOGRAMS:
        means = [
            distances.normalized(pieces.histograms(name)).mean(axis=0)
            for pieces in sets.values()
        ]
        moved = float(abs(means[0] - means[1]).sum() / 2)
        found[name] = _guard(moved, 0.0, 0.0, MOVED)
    return found


def _guard(composed: float, real: float, low: float, high: float) -> dict[str, Any]:
    return {
        "composed": composed,
        "real": real,
        "low": low,
        "high": high,
        "within": bool(low <= composed <= high),
    }


def table(guards: Guards) -> str:
    """The guards as a Markdown table."""
    rows = [
        [
            name,
            *(results.number(g[key]) for key in ("composed", "real", "low", "high")),
            "yes" if g["within"] else "**no**",
        ]
        for name, g in guards.items()
    ]
    header = ["guard", "composed", "real", "at least", "at most", "within"]
    return results.table(header, rows)
