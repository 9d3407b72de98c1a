"""Finds duplicates, which are left out, and near-duplicates, which share a split.

Pieces with the same content (equal `id`) are duplicates: the one with the smallest
source name stays. Near-duplicates are the same composition: the same onsets at another
tempo, transposition or instrumentation (equal `fingerprints.exact`), or enough passages
in common (`fingerprints.sketch`), as in another performance, arrangement or excerpt.

How much two pieces have in common is measured against the smaller one: a part of a
piece belongs to it. On 98 performances and scores of 26 compositions, pairs of the same
composition share at least 9% of their passages, and half of them 63%; other pairs share
at most 4%. A passage that many pieces have tells nothing and is not counted.

The work grows with the number of pieces, not of pairs: only pieces that share a passage
are compared, in blocks of `_BLOCK` for each passage, and in large collections only
those that share several of a quarter of the passages.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from scipy import sparse

from poph_tf.data.preparation import fingerprints

# Minimum share of the smaller piece's passages, and minimum number of sampled ones.
_CONTAINED = 0.08
_LEAST_SHARED = 4
# Passages that are in more pieces than this number or share are not counted.
_COMMON, _COMMON_SHARE = 50, 0.01
_BLOCK = 64
_ROWS = 1024
# Of the hashes: sorting all at once needs much memory. In collections of more than
# `_MANY` pieces, unrelated ones share so many passages by chance that pairs are sought
# with some of the parts, then checked with all.
_PARTS, _PARTS_OF_MANY = 8, 2
_MANY = 10_000


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


def groups(
    exact: Sequence[bytes], sketches: Sequence[np.ndarray], totals: np.ndarray
) -> np.ndarray:
    """Groups pieces that are one composition.

    Args:
        exact: `fingerprints.exact` [piece].
        sketches: uint32 [hash] of each piece.
        totals: int [piece], passages of each before sampling.

    Returns:
        int64 [piece], the first piece of its group.
    """
    count = len(exact)
    seen: dict[bytes, int] = {}
    first = [seen.setdefault(fingerprint, k) for k, fingerprint in enumerate(exact)]
    edges = [np.stack([np.arange(count), first]), *_similar(sketches, totals)]
    left, right = np.concatenate(edges, axis=1)
    graph = sparse.coo_matrix((np.ones(len(left)), (left, right)), (count, count))
    _, label = sparse.csgraph.connected_components(graph, directed=False)
    _, firsts = np.unique(label, return_index=True)
    return firsts[label]


def members(first: np.ndarray) -> list[np.ndarray]:
    """The groups of several pieces in the result of `groups`, the largest first.

    Args:
        first: int64 [piece], the number of its group.

    Returns:
        int64 [member] of each group: the places of its pieces.

    Example:
        >>> members(np.array([0, 1, 0, 3]))
        [array([0, 2])]
    """
    order = np.argsort(first, kind="stable")
    begins = np.flatnonzero(np.diff(first[order], prepend=-1))
    found = [group for group in np.split(order, begins[1:]) if len(group) > 1]
    return sorted(found, key=lambda group: (-len(group), group[0]))


def _similar(
    sketches: Sequence[np.ndarray], totals: np.ndarray
) -> Iterator[np.ndarray]:
    """Pairs of pieces that share enough of their passages, int64 [2, pair] each."""
    count = len(sketches)
    sketched = np.array([len(sketch) for sketch in sketches], np.int64)
    share = fingerprints.share(sketched, totals)
    columns, bounds, common = _incidence(sketches, sketched)
    table = columns.T.tocsr()
    size = totals - common / share  # passages that are counted, estimated
    least = _LEAST_SHARED + np.log10(max(count, 1))
    parts = _PARTS if count <= _MANY else _PARTS_OF_MANY
    sought = columns[: bounds[parts]]
    seeking = sought.T.tocsr()
    for begin in range(0, count, _ROWS):
        shared = (seeking[begin : begin + _ROWS] @ sought).tocoo()
        likely = (shared.data >= 2) & (shared.row + begin < shared.col)
        left, right = shared.row[likely].astype(np.int64) + begin, shared.col[likely]
        wanted = np.minimum(size[left], size[right])
        wanted *= _CONTAINED * np.minimum(share[left], share[right])
        wanted = np.maximum(wanted + np.sqrt(wanted), least)  # the sampling error
        number = shared.data[likely].astype(np.int64)
        if parts < _PARTS:
            expected = wanted * parts / _PARTS
            near = number >= expected - 2 * np.sqrt(expected)
            left, right, wanted = left[near], right[near], wanted[near]
            number = _shared(table, left, right)
        alike = number >= wanted
        yield np.stack([left[alike], right[alike]])


def _shared(
    table: sparse.csr_matrix, left: np.ndarray, right: np.ndarray
) -> np.ndarray:
    """The number of columns that the rows of each pair share: int64 [pair]."""
    number = np.zeros(len(left), np.int64)
    for begin in range(0, len(left), _ROWS):
        part = slice(begin, begin + _ROWS)
        number[part] = table[left[part]].multiply(table[right[part]]).sum(axis=1).flat
    return number


def _incidence(
    sketches: Sequence[np.ndarray], sketched: np.ndarray
) -> tuple[sparse.csr_matrix, np.ndarray, np.ndarray]:
    """Which pieces have which passages, of those that are informative.

    Returns:
        uint16 [column, piece]: 1 where a piece has a passage; a column is a passage, or
        a block of the pieces that have it. int64 [part + 1]: where the columns of each
        part of the hashes begin. int64 [piece]: passages that are too common to be
        counted.
    """
    count = len(sketches)
    limit = max(_COMMON, _COMMON_SHARE * count)
    hashes = np.concatenate([*sketches, np.zeros(0, np.uint32)])
    piece = np.repeat(np.arange(count, dtype=np.uint32), sketched)
    num_common = np.zeros(count, np.int64)
    pieces, sizes = [], []
    for part in range(_PARTS):
        own = hashes % _PARTS == part
        keys = hashes[own].astype(np.uint64) << np.uint64(32) | piece[own]
        keys.sort()
        begins = np.flatnonzero(np.diff(keys >> np.uint64(32), prepend=2**32))
        holders = np.diff(begins, append=len(keys))
        holder = (keys & np.uint64(2**32 - 1)).astype(np.int32)
        common = np.repeat(holders > limit, holders)
        num_common += np.bincount(holder[common], minlength=count)
        told = (holders > 1) & (holders <= limit)
        pieces.append(holder[np.repeat(told, holders)])
        sizes.append(_blocks(holders[told]))
    indices, ends = np.concatenate(pieces), np.concatenate(sizes).cumsum()
    ones = np.ones(len(indices), np.uint16)
    indptr = np.append(0, ends).astype(np.int32)
    columns = sparse.csr_matrix((ones, indices, indptr), (len(ends), count))
    return columns, np.cumsum([0, *map(len, sizes)]), num_common


def _blocks(holders: np.ndarray) -> np.ndarray:
    """Cuts numbers of pieces [passage] into blocks of `_BLOCK` and a remainder.

    Example:
        >>> _blocks(np.array([3, 130]))
        array([ 3, 64, 64,  2])
    """
    counts = -(-holders // _BLOCK)
    sizes = np.full(counts.sum(), _BLOCK)
    sizes[counts.cumsum() - 1] = holders - (counts - 1) * _BLOCK
    return sizes
