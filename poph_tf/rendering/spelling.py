"""Spells pitches (G sharp or A flat) by the notes around them.

Source: the first stage of the algorithm PS13 (ps13s1), Meredith, The ps13 Pitch
Spelling Algorithm, Journal of New Music Research 35 (2006), with its window of 10 notes
before the note and 42 from the note on.
"""

import numpy as np

from poph_tf.theory import NUM_PITCH_CLASSES, TONICS

LETTERS = "ABCDEFG"
_BEFORE, _AFTER = 10, 42
_A0 = 21
# Letters above the tonic of each step of the chromatic scale.
_LETTERS_UP = np.array([0, 1, 1, 2, 2, 3, 3, 4, 5, 5, 6, 6])
# The letter of the first note: A Bb B C C# D Eb E F F# G G#.
_FIRST_LETTER = np.array([0, 1, 1, 2, 2, 3, 4, 4, 5, 5, 6, 6])
_SEMITONES = np.array([(TONICS[letter] - TONICS["A"]) % 12 for letter in LETTERS])
_FIFTHS = np.array([3, 5, 0, 2, 4, -1, 1])  # of A B C D E F G above C
MAX_FIFTHS = 7
MAX_ALTER = 2


def spell(
    pitches: np.ndarray, sharps: int | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Spells notes in the order of their onsets, from low to high at each.

    Args:
        pitches: int [note], MIDI numbers.
        sharps: the key signature (negative: flats), if there is one.

    Returns:
        letter int [note], index into `LETTERS`; alter int [note], semitones above the
        letter; octave int [note], scientific.

    Example:
        >>> letter, alter, octave = spell(np.array([62, 66, 69, 73]))
        >>> [LETTERS[k] + "#" * a + str(o) for k, a, o in zip(letter, alter, octave)]
        ['D4', 'F#4', 'A4', 'C#5']
    """
    classes = (np.asarray(pitches, int) - _A0) % NUM_PITCH_CLASSES
    if not len(classes):
        return classes, classes, classes
    letter = _letters(classes)
    # The first note may need the less usual spelling: G# minor or A flat minor.
    options = [(letter + shift) % len(LETTERS) for shift in (0, -1, 1)]
    alters = [_alter(classes, option) for option in options]
    accidentals = [np.abs(alter).sum() for alter in alters]
    if sharps is not None:
        # The middle of the scale is two fifths above the tonic of the major key.
        middles = [
            _FIFTHS[letters] + 7 * alter
            for letters, alter in zip(options, alters, strict=True)
        ]
        accidentals = [np.abs(fifths - sharps - 2).sum() for fifths in middles]
    best = int(np.argmin(accidentals))
    # Notes outside any key: nobody reads a note with three accidentals.
    far = np.abs(alters[best]) > MAX_ALTER
    letter = np.where(far, _FIRST_LETTER[classes], options[best])
    alter = _alter(classes, letter)
    octave = (np.asarray(pitches, int) - alter) // NUM_PITCH_CLASSES - 1
    return letter, alter, octave


def _letters(classes: np.ndarray) -> np.ndarray:
    """For each note, the letter that most keys of the surrounding notes agree on."""
    tonics = np.arange(NUM_PITCH_CLASSES)
    sums = np.cumsum(classes[:, None] == tonics, axis=0)
    sums = np.concatenate([np.zeros((1, NUM_PITCH_CLASSES), int), sums])
    places = np.arange(len(classes))
    first = np.maximum(places - _BEFORE, 0)
    around = sums[np.minimum(places + _AFTER, len(classes))] - sums[first]
    up = _LETTERS_UP[(classes[0] - tonics) % NUM_PITCH_CLASSES]
    tonic_letter = (_FIRST_LETTER[classes[0]] - up) % len(LETTERS)
    up = _LETTERS_UP[(classes[:, None] - tonics) % NUM_PITCH_CLASSES]
    letter = (tonic_letter + up) % len(LETTERS)  # [note, tonic]
    strength = [(around * (letter == k)).sum(axis=1) for k in range(len(LETTERS))]
    return np.argmax(strength, axis=0)


def _alter(classes: np.ndarray, letter: np.ndarray) -> np.ndarray:
    """Semitones from a letter to a pitch class, -6..5."""
    return (classes - _SEMITONES[letter] + 6) % NUM_PITCH_CLASSES - 6


def sharps_of(key: str) -> int:
    """The number of sharps (negative: flats) of a major or minor key.

    Example:
        >>> sharps_of("F# major"), sharps_of("Eb minor")
        (6, -6)
    """
    signs = {"#": 1, "b": -1}.get(key[1], 0)
    return int(_FIFTHS[LETTERS.index(key[0])]) + 7 * signs - 3 * key.endswith("minor")


def key_signature(letter: np.ndarray, alter: np.ndarray) -> int:
    """The number of sharps (negative: flats) that leaves the fewest accidentals."""
    fifths = _FIFTHS[letter] + 7 * alter
    options = sorted(range(-MAX_FIFTHS, MAX_FIFTHS + 1), key=abs)
    inside = [((fifths >= k - 1) & (fifths <= k + 5)).sum() for k in options]
    return options[int(np.argmax(inside))]
