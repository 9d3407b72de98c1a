"""Finds the longest passage that a piece has in common with others, at any pitch.

A piece is read as the row of its attacks: at each step where notes begin, the chord
they make. Two passages are the same if their chords and the steps between them are,
whatever the transposition; how long notes are held does not matter. So a copy is found
even if it was moved to another key or its held notes were cut.
"""

import dataclasses

import numpy as np

from poph_tf.data.matrices import onsets


@dataclasses.dataclass(frozen=True)
class Copy:
    """The longest passage in common.

    Args:
        attacks: int. Its chords; 0 where nothing is in common.
        steps: int. From its first to its last attack.
        step: int. Where it begins in the piece.
        reference: int. The reference piece it is in, by its place in the list; -1.
        reference_step: int. Where it begins there.
    """

    attacks: int = 0
    steps: int = 0
    step: int = 0
    reference: int = -1
    reference_step: int = 0


def attacks(cells):
    """The row of attacks of a piece.

    Args:
        cells: [time, pitch, channel].

    Returns:
        steps: int [attack], where notes begin.
        tokens: list of attacks - 1 tuples, each saying two neighbouring chords, the
            interval between their lowest notes and the steps between them.
    """
    struck = onsets(cells)
    steps = np.flatnonzero(struck.any(axis=1))
    chords = [np.flatnonzero(struck[step]) for step in steps]
    shapes = [tuple((chord - chord[0]).tolist()) for chord in chords]
    tokens = [
        (
            shapes[k],
            shapes[k + 1],
            int(chords[k + 1][0] - chords[k][0]),
            int(steps[k + 1] - steps[k]),
        )
        for k in range(len(steps) - 1)
    ]
    return steps, tokens


class Index:
    """Reference pieces, made ready to be searched.

    Args:
        references: list of cells, each [time, pitch, channel].
    """

    def __init__(self, references):
        places, self.steps, self.starts = {}, [], []
        place = 0
        for cells in references:
            steps, tokens = attacks(cells)
            self.starts.append(place)
            self.steps.append(steps)
            for offset, token in enumerate(tokens):
                places.setdefault(token, []).append(place + offset)
            # One place stays free, so that no passage reaches into the next piece.
            place += len(tokens) + 1
        self.starts.append(place)
        self.places = {token: np.array(found) for token, found in places.items()}

    def longest_copy(self, cells, exclude=None):
        """Finds the longest passage of a piece that is in a reference too.

        Args:
            cells: [time, pitch, channel].
            exclude: int or None. A reference to leave out, such as the piece itself.

        Returns:
            Copy.
        """
        steps, tokens = attacks(cells)
        before, lengths, best = np.zeros(0, int), np.zeros(0, int), (0, 0, 0)
        for number, token in enumerate(tokens):
            here = self._places_of(token, exclude)
            # A passage goes on where the one that ended a place before ended.
            at = np.searchsorted(before, here - 1)
            goes_on = np.append(before, -2)[at] == here - 1
            lengths = 1 + np.where(goes_on, np.append(lengths, 0)[at], 0)
            before = here
            if len(lengths) and lengths.max() > best[0]:
                best = (int(lengths.max()), number, int(here[lengths.argmax()]))
        return self._describe(steps, *best) if best[0] else Copy()

    def _places_of(self, token, exclude):
        found = self.places.get(token, np.zeros(0, int))
        if exclude is None:
            return found
        first, after = self.starts[exclude], self.starts[exclude + 1]
        return found[(found < first) | (found >= after)]

    def _describe(self, steps, length, last, last_place):
        first = last - length + 1
        place = last_place - length + 1
        reference = int(np.searchsorted(self.starts, place, "right")) - 1
        return Copy(
            attacks=length + 1,
            steps=int(steps[last + 1] - steps[first]),
            step=int(steps[first]),
            reference=reference,
            reference_step=int(self.steps[reference][place - self.starts[reference]]),
        )
