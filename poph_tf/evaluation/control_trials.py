"""Measures whether steering works: what was asked for against what was composed.

Three trials, each of many pieces that differ in nothing but one wish:
    - density: the mean number of notes sounding at a time should rise with its target;
    - key: the share of sounding cells outside the key asked for should fall as its
      strength rises;
    - style: a classifier that was fitted to real pieces should recognise the style
      that was asked for, more often than chance.

The classifier is a logistic regression (scikit-learn's) on three histograms of a
piece: pitch classes, turned so that the best-fitting major scale begins first;
intervals of the top voice in semitones; steps between attacks.
"""

import dataclasses

import numpy as np

from poph_tf import theory
from poph_tf.errors import InputError
from poph_tf.evaluation import distances

DENSITIES = (2.0, 3.0, 4.0, 5.0)
KEY_STRENGTHS = (0.0, 1.0, 2.0, 4.0)
KEY = "D major"
KEY_TONIC = 2  # pitch class of the tonic of KEY


def density_trial(composer, wishes, densities=DENSITIES):
    """Composes with each target.

    Args:
        composer: generation.Composer.
        wishes: GenerationConfig, what all have in common.
        densities: notes at a time, each a target.

    Returns:
        list of dicts: `asked`, `mean` and `deviation` over the pieces.
    """
    return [
        {"asked": asked, **_summary(_compose(composer, wishes, density=asked), density)}
        for asked in densities
    ]


def density(piece):
    """Notes sounding at a time, mean over all steps of a piece."""
    return float(piece.play.sum(axis=1).mean())


def key_trial(composer, wishes, strengths=KEY_STRENGTHS):
    """Composes in one key with each strength; figures as `density_trial`."""
    return [
        {
            "asked": strength,
            **_summary(
                _compose(composer, wishes, key=KEY, key_strength=strength),
                outside_key_share,
            ),
        }
        for strength in strengths
    ]


def outside_key_share(piece):
    """Share of sounding cells outside `KEY`; nan for a silent piece."""
    counts = theory.class_counts(piece.play.sum(axis=0, dtype=np.int64))
    outside = theory.scale_rows()[KEY_TONIC]
    return float(outside @ counts / counts.sum()) if counts.sum() else float("nan")


def style_trial(composer, wishes, training, held_out):
    """Composes in each style and has the classifier name it.

    Args:
        composer: generation.Composer of a model with several styles.
        wishes: GenerationConfig, what all have in common.
        training, held_out: dicts of style to a list of real Matrices: what the
            classifier is fitted to, and what it is tried on.

    Returns:
        dict: `chance` (1 / styles), `held_out` and `composed`: style -> share of its
        pieces that were recognised, and `all`, the mean over styles.
    """
    styles = composer.config.styles
    if len(styles) < 2:
        raise InputError("The model has one style; there is nothing to recognise.")
    classifier = fit_classifier(training)
    composed = {
        style: _compose(composer, wishes, style=style, key="") for style in styles
    }
    return {
        "chance": 1 / len(styles),
        "held_out": _recognised(classifier, held_out),
        "composed": _recognised(classifier, composed),
    }


def fit_classifier(pieces):
    """Fits a logistic regression that names the style of a piece.

    Args:
        pieces: dict of style to a list of Matrices.

    Returns:
        a scikit-learn classifier of `features`.
    """
    # Brought along by note-seq (through librosa); imported where it is needed.
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rows = [features(piece) for group in pieces.values() for piece in group]
    names = [style for style, group in pieces.items() for _ in group]
    # Styles count alike, however many pieces each has.
    regression = LogisticRegression(C=0.1, max_iter=2000, class_weight="balanced")
    return make_pipeline(StandardScaler(), regression).fit(np.array(rows), names)


def features(piece):
    """Shares float [12 + 25 + 16]: pitch classes, pitch and onset intervals."""
    parts = [
        _from_tonic(distances.pitch_classes(piece.cells)),
        distances.pitch_intervals(piece.cells),
        distances.onset_intervals(piece.cells),
    ]
    return np.concatenate([part / max(part.sum(), 1) for part in parts])


def _from_tonic(counts):
    """Turns pitch class counts [12] so that the best-fitting major scale is C's."""
    majors = theory.scale_rows()[: theory.NUM_PITCH_CLASSES]
    return np.roll(counts, -int((majors @ counts).argmin()))


def _recognised(classifier, pieces):
    shares = {
        style: float(np.mean(classifier.predict([features(p) for p in group]) == style))
        for style, group in pieces.items()
        if group
    }
    return shares | {"all": float(np.mean(list(shares.values())))}


def _compose(composer, wishes, **changed):
    return composer.compose(dataclasses.replace(wishes, **changed))


def _summary(pieces, figure):
    values = np.array([figure(piece) for piece in pieces])
    values = values[np.isfinite(values)]
    return {"mean": float(values.mean()), "deviation": float(values.std())}


def table(figures):
    """The trials as tables in Markdown."""
    lines = []
    titles = {
        "density": ("density asked", "notes at a time"),
        "key": (f"strength of {KEY}", "share outside it"),
    }
    for name, (asked, found) in titles.items():
        lines += [f"| {asked} | {found} |", "|---|---|"]
        lines += [
            f"| {row['asked']:g} | {row['mean']:.3f} ± {row['deviation']:.3f} |"
            for row in figures[name]
        ]
        lines.append("")
    if "style" in figures:
        style = figures["style"]
        lines += [
            f"| style (chance {style['chance']:.2f}) | real, held out | composed |",
            "|---|---|---|",
        ]
        for name, share in style["composed"].items():
            real = style["held_out"].get(name, float("nan"))
            lines.append(f"| {name} | {real:.2f} | {share:.2f} |")
    return "\n".join(lines).rstrip() + "\n"
