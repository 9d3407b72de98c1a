"""Finds duplicates, which are left out, and near-duplicates, which share a split.

Pieces of equal content (equal `id`) are duplicates: the one with the smallest source
name stays. Pieces with the same onsets at another tempo, transposition or
instrumentation (equal fingerprint) are near-duplicates: all stay.
"""

from collections.abc import Sequence

import numpy as np


def without_duplicates(
    sources: Sequence[str], ids: Sequence[bytes]
) -> tuple[np.ndarray, list[tuple[str, str]]]:
    """Chooses the pieces that stay.

    Args:
        sources: names [piece].
        ids: hashes of the content [piece].

    Returns:
        int64 [kept], in the order of names; (source, source of the piece that stays in
        its place) of each of the others.

    Example:
        >>> without_duplicates(["b", "c", "a"], [b"1", b"2", b"1"])
        (array([2, 1]), [('b', 'a')])
    """
    first: dict[bytes, int] = {}
    kept, duplicates = [], []
    for k in sorted(range(len(sources)), key=lambda k: (sources[k], k)):
        keeper = first.setdefault(ids[k], k)
        if keeper == k:
            kept.append(k)
        else:
            duplicates.append((sources[k], sources[keeper]))
    return np.array(kept, np.int64), duplicates


def groups(sources: Sequence[str], fingerprints: Sequence[bytes]) -> list[list[str]]:
    """Groups the names [piece] of near-duplicates; each group has at least two.

    Example:
        >>> groups(["a", "b", "c"], [b"1", b"2", b"1"])
        [['a', 'c']]
    """
    found: dict[bytes, list[str]] = {}
    for source, fingerprint in zip(sources, fingerprints, strict=True):
        found.setdefault(fingerprint, []).append(source)
    return [group for group in found.values() if len(group) > 1]
