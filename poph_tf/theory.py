"""Scales and keys, as plain numbers over the twelve pitch classes (C = 0).

A scale is written as in PopH's report: a row of twelve marks, 1 for each pitch class
*outside* the scale, so that `rows @ distribution` is the mass outside each key.

Source: Anokhin & Nuzhin, PopH (2018); C major and natural C minor as given there.
"""

import numpy as np

NUM_PITCH_CLASSES = 12
MAJOR_OUTSIDE = (0, 1, 0, 1, 0, 0, 1, 0, 1, 0, 1, 0)
NATURAL_MINOR_OUTSIDE = (0, 1, 0, 0, 1, 0, 1, 0, 0, 1, 0, 1)
HARMONIC_MINOR_OUTSIDE = (0, 1, 0, 0, 1, 0, 1, 0, 0, 1, 1, 0)
# The modes have the white keys from another tonic on; C D E G A is the pentatonic.
DORIAN_OUTSIDE = MAJOR_OUTSIDE[2:] + MAJOR_OUTSIDE[:2]
PHRYGIAN_OUTSIDE = MAJOR_OUTSIDE[4:] + MAJOR_OUTSIDE[:4]
LYDIAN_OUTSIDE = MAJOR_OUTSIDE[5:] + MAJOR_OUTSIDE[:5]
MIXOLYDIAN_OUTSIDE = MAJOR_OUTSIDE[7:] + MAJOR_OUTSIDE[:7]
PENTATONIC_OUTSIDE = (0, 1, 0, 1, 0, 1, 1, 0, 1, 0, 1, 1)
MINOR_SCALES = {"natural": NATURAL_MINOR_OUTSIDE, "harmonic": HARMONIC_MINOR_OUTSIDE}
PITCH_CLASS_NAMES = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")


def scale_rows(minor_scale="natural"):
    """Stacks the marks of all 24 keys.

    Args:
        minor_scale: str. "natural" or "harmonic".

    Returns:
        float32 [24, 12]: rows 0..11 the major keys on C, C#, ..., rows 12..23 the
        minor ones; 1 marks a pitch class outside the key. With the natural minor
        each minor row equals that of its relative major.
    """
    if minor_scale not in MINOR_SCALES:
        raise ValueError(
            f"minor_scale must be one of {sorted(MINOR_SCALES)}, got {minor_scale!r}."
        )
    tonics = range(NUM_PITCH_CLASSES)
    modes = (MAJOR_OUTSIDE, MINOR_SCALES[minor_scale])
    return np.array([np.roll(m, k) for m in modes for k in tonics], np.float32)


def class_counts(by_pitch, first_pitch=0):
    """Adds up by pitch class.

    Args:
        by_pitch: [pitch], a number for each pitch from `first_pitch` on.
        first_pitch: int, MIDI number.

    Returns:
        float [12], C first.
    """
    classes = (np.arange(len(by_pitch)) + first_pitch) % NUM_PITCH_CLASSES
    return np.bincount(classes, by_pitch, minlength=NUM_PITCH_CLASSES)


def out_of_key_share(class_counts):
    """Share of sounding cells outside the best-fitting of the 12 major scales.

    Args:
        class_counts: [12] counts of sounding cells by pitch class.

    Returns:
        float in 0..1; 0.0 for a piece without notes.
    """
    counts = np.asarray(class_counts, np.float64)
    if counts.sum() == 0:
        return 0.0
    majors = scale_rows()[:NUM_PITCH_CLASSES]
    return float((majors @ counts).min() / counts.sum())
