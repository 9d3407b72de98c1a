"""Finds the longest passage that a piece shares with others, in any transposition.

A piece is read as the sequence of its attacks: at each step where notes begin, the
chord that they form. Two passages are the same if their chords and the steps between
them are, in any transposition; the lengths of notes do not matter. So a copy is found
even if it was transposed or its held notes were shortened.
"""

import dataclasses
import itertools
from collections.abc import Hashable, Iterable

import numpy as np

from poph_tf.data.matrices import onsets


@dataclasses.dataclass(frozen=True)
class Copy:
    """The longest shared passage.

    Attributes:
        attacks: number of its chords; 0 if nothing is shared.
        steps: steps from its first to its last attack.
        step: where it begins in the piece.
        reference: index of the reference piece that has it; -1 for none.
        reference_step: where it begins there.
    """

    attacks: int = 0
    steps: int = 0
    step: int = 0
    reference: int = -1
    reference_step: int = 0


def attacks(cells: np.ndarray) -> tuple[np.ndarray, list[Hashable]]:
    """The sequence of attacks of a piece.

    Args:
        cells: [time, pitch, channel].

    Returns:
        The steps [attack] where notes begin, and a token for each pair of neighbouring
        attacks: the shapes of both chords, the interval between their lowest notes and
        the steps between them.
    """
    struck = onsets(cells)
    steps = np.flatnonzero(struck.any(axis=1))
    chords = [np.flatnonzero(struck[step]) for step in steps]
    lowest = [int(chord[0]) for chord in chords]
    shapes = [tuple((chord - chord[0]).tolist()) for chord in chords]
    moves, waits = np.diff(lowest).tolist(), np.diff(steps).tolist()
    return steps, list(zip(shapes, shapes[1:], moves, waits, strict=False))


class Index:
    """Reference pieces, prepared for searches.

    Args:
        references: cells of each piece, [time, pitch, channel].
    """

    def __init__(self, references: Iterable[np.ndarray]) -> None:
        found = [attacks(cells) for cells in references]
        self.steps = [steps for steps, _ in found]
        # One place stays free after each piece, so that no passage spans two pieces.
        sizes = [len(tokens) + 1 for _, tokens in found]
        self.starts = [0, *itertools.accumulate(sizes)]
        places: dict[Hashable, list[int]] = {}
        for start, (_, tokens) in zip(self.starts, found, strict=False):
            for place, token in enumerate(tokens, start):
                places.setdefault(token, []).append(place)
        self.places = {token: np.array(rows) for token, rows in places.items()}

    def longest_copy(self, cells: np.ndarray, exclude: int | None = None) -> Copy:
        """Finds the longest passage of a piece that a reference has too.

        Args:
            cells: [time, pitch, channel].
            exclude: a reference to leave out, such as the piece itself.
        """
        steps, tokens = attacks(cells)
        before, lengths, best = np.zeros(0, int), np.zeros(0, int), (0, 0, 0)
        for number, token in enumerate(tokens):
            here = self._places_of(token, exclude)
            # A passage continues the one that ended a place before.
            at = np.searchsorted(before, here - 1)
            continues = np.append(before, -2)[at] == here - 1
            lengths = 1 + np.where(continues, np.append(lengths, 0)[at], 0)
            before = here
            if len(lengths) and lengths.max() > best[0]:
                best = (int(lengths.max()), number, int(here[lengths.argmax()]))
        return self._describe(steps, *best) if best[0] else Copy()

    def _places_of(self, token: Hashable, exclude: int | None) -> np.ndarray:
        found = self.places.get(token, np.zeros(0, int))
        if exclude is None:
            return found
        first, after = self.starts[exclude : exclude + 2]
        return found[(found < first) | (found >= after)]

    def _describe(
        self, steps: np.ndarray, length: int, last: int, last_place: int
    ) -> Copy:
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
