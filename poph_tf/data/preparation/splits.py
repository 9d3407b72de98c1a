"""From finished chunks to shards: duplicates, twins, splits.

Pieces of equal content (equal `id`) are duplicates: the one with the smallest source
name stays. Pieces with the same onsets at another tempo, transposition or
instrumentation (equal fingerprint) are twins: all stay, in one split. The split goes by
a hash of the fingerprint, so that it does not depend on what else there is; only where
a split would be empty in a small collection does it get the pieces nearest to it.
"""

import dataclasses
import hashlib
import os
import pathlib

import numpy as np

from poph_tf.data import examples

SHARD_BYTES = 16 * 2**20
MIN_TRAIN_SHARDS = 4
MAX_SHARDS = 4096
_MAX_OPEN = 64


@dataclasses.dataclass
class Catalogue:
    """All pieces of the finished chunks, in the order of the chunks.

    Args:
        keys: list of str, the chunks.
        sources, styles: list of str [piece].
        ids, fingerprints: object [piece] of bytes (32).
        chunk: int64 [piece], index into `keys`.
        offset, size: int64 [piece], bytes in the chunk's records.
        steps: int64 [piece].
        rejects: list of (source, reason).
    """

    keys: list
    sources: list
    styles: list
    ids: np.ndarray
    fingerprints: np.ndarray
    chunk: np.ndarray
    offset: np.ndarray
    size: np.ndarray
    steps: np.ndarray
    rejects: list


def catalogue(store, keys):
    """Reads the tables of chunks.

    Args:
        store: staging.Staging.
        keys: list of str, in the order of the source.

    Returns:
        Catalogue.
    """
    names = ("id", "fingerprint", "size", "steps")
    sources, styles, rejects = [], [], []
    columns = {name: [] for name in (*names, "chunk", "offset")}
    interned = {}
    for number, key in enumerate(keys):
        pieces, refused, facts = store.read(key)
        sources += [source for source, _ in pieces]
        styles += [interned.setdefault(style, style) for _, style in pieces]
        rejects += [tuple(row) for row in refused]
        for name in names:
            columns[name].append(facts[name].copy())
        columns["chunk"].append(np.full(len(pieces), number))
        columns["offset"].append(np.cumsum(facts["size"]) - facts["size"])
    empty = {"id": np.zeros((0, 32), np.uint8), "fingerprint": np.zeros((0, 32), "u1")}
    joined = {
        name: np.concatenate([empty.get(name, np.zeros(0, np.int64)), *parts])
        for name, parts in columns.items()
    }
    return Catalogue(
        keys=keys,
        sources=sources,
        styles=styles,
        ids=_as_names(joined["id"]),
        fingerprints=_as_names(joined["fingerprint"]),
        chunk=joined["chunk"],
        offset=joined["offset"],
        size=joined["size"],
        steps=joined["steps"].astype(np.int64),
        rejects=rejects,
    )


def _as_names(octets):
    """object [piece] of bytes: hashes that can be compared and sorted."""
    return np.array([row.tobytes() for row in octets], object)


def without_duplicates(pieces):
    """Which pieces stay.

    Args:
        pieces: Catalogue.

    Returns:
        int64 [kept], in the order of source names; list of (source, source of the
        piece that stays in its place).
    """
    first, kept, duplicates = {}, [], []
    for k in sorted(range(len(pieces.sources)), key=lambda k: (pieces.sources[k], k)):
        keeper = first.setdefault(pieces.ids[k], k)
        if keeper == k:
            kept.append(k)
        else:
            duplicates.append((pieces.sources[k], pieces.sources[keeper]))
    return np.array(kept, np.int64), duplicates


def twins(pieces, kept):
    """Groups of twins.

    Returns:
        list of lists of source names, each of at least two.
    """
    groups = {}
    for k in kept.tolist():
        groups.setdefault(pieces.fingerprints[k], []).append(pieces.sources[k])
    return [group for group in groups.values() if len(group) > 1]


def split(fingerprints, fractions):
    """Which split each piece goes to.

    Args:
        fingerprints: object [piece] of bytes.
        fractions: (train, valid, test).

    Returns:
        object [piece] of "train", "valid" or "test".
    """
    place = {f: _place(f) for f in fingerprints}
    train, valid, test = fractions
    bounds = {"test": (0, test), "valid": (test, test + valid)}
    bounds["train"] = (test + valid, 1)
    where = {}
    for name in sorted(place, key=place.get):
        split_of = [s for s, (low, high) in bounds.items() if low <= place[name] < high]
        where[name] = split_of[0] if split_of else "train"
    if len(where) >= len(examples.SPLITS):
        _fill_empty(where, place, dict(zip(examples.SPLITS, fractions, strict=True)))
    return np.array([where[f] for f in fingerprints], object)


def _place(fingerprint):
    digest = hashlib.sha256(b"split" + fingerprint).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _fill_empty(where, place, fractions):
    """Gives each split that should have pieces one, from the fullest split."""
    for name in ("test", "valid", "train"):
        counts = {s: sum(w == s for w in where.values()) for s in fractions}
        if counts[name] or not fractions[name]:
            continue
        fullest = max(counts, key=lambda s: (counts[s], s))
        candidates = [f for f, w in where.items() if w == fullest]
        chosen = max if name == "train" else min
        where[chosen(candidates, key=place.get)] = name


def write_shards(store, pieces, chosen, split_name, num_shards, folder):
    """Writes one split's shards; each has its name only when it is whole.

    Args:
        store: staging.Staging.
        pieces: Catalogue.
        chosen: int64 [piece], indices into it.
        split_name: str.
        num_shards: int; 0 for a number that suits the size.
        folder: path.

    Returns:
        tuple of the shards' file names.
    """
    # By hash: neighbours of the source are spread over all shards.
    order = sorted(chosen.tolist(), key=lambda k: pieces.ids[k])
    count = num_shards or _suitable(int(pieces.size[chosen].sum()), split_name)
    count = max(1, min(count, len(order)))
    opened = _Records(store, pieces)
    names = []
    for shard in range(count):
        name = examples.shard_name(split_name, shard, count)
        partial = store.folder / f"{name}.partial"
        with open(partial, "wb") as file:
            for k in order[shard::count]:
                file.write(opened.read(k))
        os.replace(partial, pathlib.Path(folder) / name)
        names.append(name)
    opened.close()
    return tuple(names)


def _suitable(size, split_name):
    least = MIN_TRAIN_SHARDS if split_name == "train" else 1
    return min(max(least, -(-size // SHARD_BYTES)), MAX_SHARDS)


class _Records:
    """The records of chunks; keeps some files open."""

    def __init__(self, store, pieces):
        self._store = store
        self._pieces = pieces
        self._files = {}

    def read(self, k):
        chunk = int(self._pieces.chunk[k])
        file = self._files.get(chunk)
        if file is None:
            if len(self._files) >= _MAX_OPEN:
                self.close()
            file = open(self._store.records(self._pieces.keys[chunk]), "rb")  # noqa: SIM115
            self._files[chunk] = file
        file.seek(int(self._pieces.offset[k]))
        return file.read(int(self._pieces.size[k]))

    def close(self):
        for file in self._files.values():
            file.close()
        self._files = {}
