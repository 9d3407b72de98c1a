"""Assigns pieces to training, validation and test, and writes the shards of each.

The split depends on a hash of the fingerprint; a group of near-duplicates uses that of
its first piece, so that they share a split. A group larger than its whole split should
be goes to training: hundreds of dance tunes may belong together. If a split would be
empty in a small collection, it gets the pieces nearest to it. A collection may also
come with its own splits (`given_splits.py`).
"""

import hashlib
import pathlib
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from poph_tf import files
from poph_tf.data import examples
from poph_tf.data.preparation.staging import Pieces

SHARD_BYTES = 16 * 2**20
MIN_TRAIN_SHARDS = 4
MAX_SHARDS = 4096


def split(fingerprints: Sequence[bytes], fractions: Sequence[float]) -> np.ndarray:
    """Chooses the split of each piece.

    Args:
        fingerprints: hashes [piece]; those of a group share one.
        fractions: shares of training, validation and test.

    Returns:
        object [piece] of "train", "valid" or "test".
    """
    place = {f: _place(f) for f in fingerprints}
    train, valid, test = fractions
    share = dict(zip(examples.SPLITS, fractions, strict=True))
    sizes = Counter(fingerprints)
    where = {}
    for name, at in place.items():
        drawn = "test" if at < test else "valid" if at < test + valid else "train"
        too_large = 1 < sizes[name] > share[drawn] * len(fingerprints)
        where[name] = "train" if too_large and train else drawn
    if len(where) >= len(examples.SPLITS):
        _fill_empty(where, place, share)
    return np.array([where[f] for f in fingerprints], object)


def _place(fingerprint: bytes) -> float:
    """A pseudo-random number in 0..1."""
    digest = hashlib.sha256(b"split" + fingerprint).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _fill_empty(
    where: dict[bytes, str],
    place: Mapping[bytes, float],
    fractions: Mapping[str, float],
) -> None:
    """Gives each empty split that should have pieces one from the fullest split."""
    for name in ("test", "valid", "train"):
        counts = {s: sum(w == s for w in where.values()) for s in fractions}
        if counts[name] or not fractions[name]:
            continue
        fullest = max(counts, key=lambda s: (counts[s], s))
        candidates = [f for f, w in where.items() if w == fullest]
        nearest = max if name == "train" else min
        where[nearest(candidates, key=lambda f: place[f])] = name


def write(
    pieces: Pieces,
    chosen: np.ndarray,
    name: str,
    num_shards: int,
    folder: pathlib.Path,
) -> examples.SplitInfo:
    """Writes the shards of one split.

    Args:
        pieces: all pieces.
        chosen: int64 [piece], those of the split.
        name: "train", "valid" or "test".
        num_shards: number of training shards; 0 chooses it by size.
        folder: gets the shards.
    """
    steps: Counter[str] = Counter()
    for k in chosen.tolist():
        steps[pieces.styles[k]] += int(pieces.statistics["steps"][k])
    counts = Counter(pieces.styles[k] for k in chosen)
    return examples.SplitInfo(
        shards=_write_shards(pieces, chosen, name, num_shards, folder),
        num_pieces=len(chosen),
        num_steps=steps.total(),
        steps_by_style=dict(sorted(steps.items())),
        pieces_by_style=dict(sorted(counts.items())),
    )


def _write_shards(
    pieces: Pieces,
    chosen: np.ndarray,
    name: str,
    num_shards: int,
    folder: pathlib.Path,
) -> tuple[str, ...]:
    if not len(chosen):
        return ()
    # By hash, so that neighbours in the source are spread over all shards.
    ids = pieces.hashes("id", chosen)
    order = [k for _, k in sorted(zip(ids, chosen.tolist(), strict=True))]
    size = int(pieces.statistics["size"][chosen].sum())
    least = MIN_TRAIN_SHARDS if name == "train" else 1
    count = min(max(least, -(-size // SHARD_BYTES)), MAX_SHARDS)
    if num_shards and name == "train":
        count = num_shards
    count = min(count, len(order))
    names = [examples.shard_name(name, shard, count) for shard in range(count)]
    for shard, shard_name in enumerate(names):
        path = folder / shard_name
        with files.replacing(path) as partial, partial.open("wb") as file:
            file.writelines(record(pieces, k) for k in order[shard::count])
    return tuple(names)


def record(pieces: Pieces, k: int) -> bytes:
    """The compressed record of a piece."""
    with pieces.paths[k].open("rb") as file:
        file.seek(pieces.offset[k])
        return file.read(pieces.statistics["size"][k])
