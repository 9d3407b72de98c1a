"""Measures whether controls work: compares what was requested with what was composed.

Three trials, each of many pieces that differ in one setting only:
    - density: the mean number of notes sounding at a time should rise with its target;
    - key: the share of sounding cells outside the key should fall as its strength
      rises;
    - style: a classifier fitted to real pieces should recognize the style more often
      than chance.

The classifier is a logistic regression (scikit-learn's) on three histograms of a piece:
pitch classes, rotated so that the tonic of the best-fitting major scale comes first;
intervals of the top voice in semitones; steps between attacks.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from poph_tf import theory
from poph_tf.config import GenerationConfig
from poph_tf.data.matrices import Matrices
from poph_tf.errors import InputError
from poph_tf.evaluation import distances, results

DENSITIES = (2.0, 3.0, 4.0, 5.0)
KEY_STRENGTHS = (0.0, 1.0, 2.0, 4.0)
KEY = "D major"

PiecesByStyle = Mapping[str, Sequence[Matrices]]
Rows = list[dict[str, float]]


@dataclasses.dataclass(frozen=True)
class Trials:
    """The trials of one model.

    Attributes:
        compose: composes pieces, such as `Composer.compose`.
        settings: the settings that all pieces share.
    """

    compose: Callable[[GenerationConfig], Sequence[Matrices]]
    settings: GenerationConfig

    def run(self, real: Sequence[PiecesByStyle] = ()) -> dict[str, Any]:
        """Runs all trials; the style trial needs the real pieces from `read_real`."""
        figures = {
            "num_pieces": self.settings.num_pieces,
            "num_bars": self.settings.num_bars,
            "density": self.density(),
            "key": self.key(),
        }
        return figures | ({"style": self.style(*real)} if real else {})

    def density(self, targets: Sequence[float] = DENSITIES) -> Rows:
        """Composes with each target density, in notes at a time.

        Returns:
            One row for each target: `asked`, `mean` and `deviation` over the pieces.
        """
        return [_row(asked, self._compose(density=asked), density) for asked in targets]

    def key(self, strengths: Sequence[float] = KEY_STRENGTHS) -> Rows:
        """Composes in `KEY` with each strength; returns rows like `density`."""
        return [
            _row(asked, self._compose(key=KEY, key_strength=asked), outside_key_share)
            for asked in strengths
        ]

    def style(self, training: PiecesByStyle, held_out: PiecesByStyle) -> dict[str, Any]:
        """Composes in each style and has the classifier name it.

        Args:
            training: real pieces of each style of the model, to fit the classifier.
            held_out: real pieces to test the classifier.

        Returns:
            `chance` (1 / styles); `held_out` and `composed`: style -> share of its
            pieces that were recognized, and `all`, the mean over styles.

        Raises:
            InputError: If there is only one style.
        """
        if len(training) < 2:
            raise InputError("The model has one style; there is nothing to recognize.")
        classifier = fit_classifier(training)
        composed = {style: self._compose(style=style, key="") for style in training}
        return {
            "chance": 1 / len(training),
            "held_out": _recognized(classifier, held_out),
            "composed": _recognized(classifier, composed),
        }

    def _compose(self, **changed: Any) -> Sequence[Matrices]:
        return self.compose(dataclasses.replace(self.settings, **changed))


def density(piece: Matrices) -> float:
    """Notes sounding at a time, mean over all steps of a piece."""
    return float(piece.play.sum(axis=1).mean())


def outside_key_share(piece: Matrices) -> float:
    """Share of sounding cells outside `KEY`; nan for a silent piece."""
    counts = theory.class_counts(piece.play.sum(axis=0, dtype=np.int64))
    outside = theory.key_outside(KEY) @ counts
    return float(outside / (counts.sum() or np.nan))


def _row(
    asked: float, pieces: Sequence[Matrices], figure: Callable[[Matrices], float]
) -> dict[str, float]:
    found = np.array([figure(piece) for piece in pieces])
    found = found[np.isfinite(found)]
    return {
        "asked": asked,
        "mean": float(found.mean()),
        "deviation": float(found.std()),
    }


def read_real(data_dir: Path, styles: Sequence[str]) -> list[PiecesByStyle]:
    """Reads the pieces of the training and the test split by style.

    Raises:
        InputError: If a split lacks a style.
    """
    # TensorFlow is slow to import, and the tables do not need it.
    from poph_tf.data import dataset

    real: list[PiecesByStyle] = []
    for split in ("train", "test"):
        by_style: dict[str, list[Matrices]] = {style: [] for style in styles}
        for piece in dataset.read_split(data_dir, split):
            by_style.get(piece.style, []).append(piece.matrices)
        real.append(by_style)
    if missing := [s for s in styles if not all(split[s] for split in real)]:
        raise InputError(
            f"{data_dir} must have training and test pieces of each style of the "
            f"model; it lacks {', '.join(missing)}."
        )
    return real


def fit_classifier(pieces: PiecesByStyle) -> Any:
    """Fits a logistic regression (scikit-learn's) that names a piece's style."""
    # note-seq depends on scikit-learn through librosa; it is slow to import.
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rows = [features(piece) for group in pieces.values() for piece in group]
    names = [style for style, group in pieces.items() for _ in group]
    # Styles have equal weight, however many pieces each has.
    regression = LogisticRegression(C=0.1, max_iter=2000, class_weight="balanced")
    return make_pipeline(StandardScaler(), regression).fit(np.array(rows), names)


def features(piece: Matrices) -> np.ndarray:
    """Shares float [12 + 25 + 16]: pitch classes, pitch and onset intervals."""
    classes = distances.pitch_classes(piece.cells)
    majors = theory.scale_rows()[: theory.NUM_PITCH_CLASSES]
    parts = [
        np.roll(classes, -int((majors @ classes).argmin())),
        distances.pitch_intervals(piece.cells),
        distances.onset_intervals(piece.cells),
    ]
    return np.concatenate([part / max(part.sum(), 1) for part in parts])


def _recognized(classifier: Any, pieces: PiecesByStyle) -> dict[str, float]:
    shares = {
        style: float(np.mean(classifier.predict([features(p) for p in group]) == style))
        for style, group in pieces.items()
        if group
    }
    return shares | {"all": float(np.mean(list(shares.values())))}


def table(figures: Mapping[str, Any]) -> str:
    """The trials as Markdown tables."""
    headers = {
        "density": ["density asked", "notes at a time"],
        "key": [f"strength of {KEY}", "share outside it"],
    }
    tables = [
        results.table(
            header,
            [
                [f"{row['asked']:g}", f"{row['mean']:.3f} ± {row['deviation']:.3f}"]
                for row in figures[name]
            ],
        )
        for name, header in headers.items()
    ]
    if style := figures.get("style"):
        header = [f"style (chance {style['chance']:.2f})", "real, held out", "composed"]
        real = style["held_out"]
        rows = [
            [name, f"{real.get(name, np.nan):.2f}", f"{share:.2f}"]
            for name, share in style["composed"].items()
        ]
        tables.append(results.table(header, rows))
    return "\n".join(tables)
