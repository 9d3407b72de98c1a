"""The random numbers of `randomness.py`, computed with NumPy.

Philox4x32-10 of (seed, step, pitch, track), identical to the graph bit for bit.

Source: Salmon et al., Parallel Random Numbers: As Easy as 1, 2, 3 (2011),
doi:10.1145/2063384.2063405, section 4.3 and its constants.
"""

from collections.abc import Sequence

import numpy as np

from poph_tf import theory

ROUNDS = 10
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
WEYL = (0x9E3779B9, 0xBB67AE85)
# The last word of the counter: 0 for notes.
KEY_COUNTER, FORM_COUNTER = 1, 2
DRAWS = 2  # numbers for each pitch: one for play, one for replay
_WORD = np.uint64(0xFFFFFFFF)


def philox(
    counter: Sequence[np.ndarray | int], key: Sequence[np.ndarray | int]
) -> tuple[np.ndarray, ...]:
    """The Philox4x32-10 block function.

    Args:
        counter: four arrays of 32-bit words whose shapes broadcast.
        key: two arrays of 32-bit words whose shapes broadcast with them.

    Returns:
        Four arrays uint64 of the common shape, each below 2**32.

    Example:
        >>> [f"{int(word):08x}" for word in philox((0, 0, 0, 0), (0, 0))]
        ['6627e8d5', 'e169c58d', 'bc57ac4c', '9b00dbd8']
    """
    words = [np.asarray(word, np.uint64) for word in (*counter, *key)]
    c0, c1, c2, c3, k0, k1 = np.broadcast_arrays(*words)
    for _ in range(ROUNDS):
        product0 = c0 * np.uint64(MULTIPLIERS[0])
        product1 = c2 * np.uint64(MULTIPLIERS[1])
        c0, c1, c2, c3 = (
            (product1 >> np.uint64(32)) ^ c1 ^ k0,
            product1 & _WORD,
            (product0 >> np.uint64(32)) ^ c3 ^ k1,
            product0 & _WORD,
        )
        k0 = (k0 + np.uint64(WEYL[0])) & _WORD
        k1 = (k1 + np.uint64(WEYL[1])) & _WORD
    return c0, c1, c2, c3


def uniforms(
    seed: np.ndarray, steps: np.ndarray, num_tracks: int, num_pitches: int
) -> np.ndarray:
    """Random numbers for steps of one piece.

    Args:
        seed: int32 [2].
        steps: int [step], counted from the start of the piece.
        num_tracks: number of tracks that need numbers.
        num_pitches: number of pitches per track that need numbers.

    Returns:
        float32 [step, track, pitch, 2] in [0, 1), multiples of 2**-24.
    """
    counter = (
        np.asarray(steps, np.uint64)[:, None, None],
        np.arange(num_pitches),
        np.arange(num_tracks)[:, None],
        0,
    )
    key = [*np.asarray(seed, np.int32).view(np.uint32)]
    bits = philox(counter, key)[:DRAWS]
    top = np.stack(bits, axis=-1) >> np.uint64(8)
    return top.astype(np.float32) * np.float32(2.0**-24)


def keys(seed: np.ndarray) -> np.ndarray:
    """Draws a key for each piece, all equally probable.

    Args:
        seed: int32 [batch, 2].

    Returns:
        int32 [batch], 0..23 (see `theory`).
    """
    words = [*np.asarray(seed, np.int32).view(np.uint32).T]
    first = philox((0, 0, 0, KEY_COUNTER), words)[0]
    # From exactly the same 24 bits as in the graph.
    return ((first >> np.uint64(8)) * theory.NUM_KEYS >> np.uint64(24)).astype(np.int32)


def form_numbers(seed: np.ndarray, num_bars: int) -> np.ndarray:
    """Two random numbers for each bar of each piece, for its form.

    Args:
        seed: int32 [batch, 2].
        num_bars: number of bars.

    Returns:
        int64 [batch, bar, 2], below 2**24.
    """
    words = np.asarray(seed, np.int32).view(np.uint32).T[..., None]
    bits = philox((np.arange(num_bars), 0, 0, FORM_COUNTER), [*words])[:DRAWS]
    return (np.stack(bits, axis=-1) >> np.uint64(8)).astype(np.int64)
