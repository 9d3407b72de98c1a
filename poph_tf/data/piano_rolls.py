"""The field's piano-roll benchmarks: read in their usual files, kept as records.

JSB Chorales, MuseData, Nottingham and Piano-midi come as 88-pitch rolls, play only, in
splits of their own. They are read from `.npz` (packed bits and lengths), from the
original `.pickle` (lists of sounding pitches for each step) and from the `.mat` files
of later work (one array [steps, 88] for each piece).

Source: Boulanger-Lewandowski et al. (2012), ICML; splits as distributed there.
"""

import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from poph_tf.data import examples, writing
from poph_tf.data.matrices import PLAY, VOLUME, Matrices
from poph_tf.errors import InputError

MIN_PITCH, NUM_PITCHES = 21, 88
# The rolls have no velocities; canonical matrices need one where a note sounds.
VELOCITY = 64
Rolls = dict[str, list[np.ndarray]]


def read(path: str | Path) -> Rolls:
    """Reads a benchmark file.

    Args:
        path: `.npz`, `.pickle`/`.pkl` or `.mat`.

    Returns:
        For "train", "valid" and "test" a list of rolls, uint8 [steps, 88].

    Raises:
        InputError: If there is no such file or it is none of these.
    """
    path = Path(path)
    if path.suffix.lower() not in _READERS:
        raise InputError(f"{path}: must be one of {', '.join(_READERS)}.")
    if not path.exists():
        raise InputError(f"There is no file '{path}'.")
    try:
        splits = _READERS[path.suffix.lower()](path)
    except InputError:
        raise
    except Exception as error:
        # numpy, pickle and scipy raise whatever a file that is something else makes
        # them do.
        raise InputError(f"{path} is no piano-roll benchmark: {error!r}.") from error
    for name, rolls in splits.items():
        if not rolls or any(roll.shape[1:] != (NUM_PITCHES,) for roll in rolls):
            raise InputError(
                f"{path}: {name} must hold rolls of {NUM_PITCHES} pitches."
            )
    return splits


def _read_npz(path: Path) -> Rolls:
    splits = {}
    with np.load(path, allow_pickle=False) as file:
        for name in examples.SPLITS:
            bits, lengths = file[name], file[f"{name}_lengths"]
            if bits.shape[1:] != (NUM_PITCHES // 8,):
                raise InputError(
                    f"{path}: {name} must be packed rows of {NUM_PITCHES // 8} bytes, "
                    f"got shape {bits.shape}."
                )
            if lengths.sum() != len(bits) or lengths.min(initial=1) < 1:
                raise InputError(
                    f"{path}: the lengths of {name} must be positive and sum to its "
                    f"{len(bits)} rows, got a sum of {lengths.sum()}."
                )
            rolls = np.unpackbits(bits, axis=1)
            splits[name] = np.split(rolls, np.cumsum(lengths)[:-1])
    return splits


class _PlainUnpickler(pickle.Unpickler):
    """Refuses everything but lists, tuples, dicts and numbers."""

    def find_class(self, module: str, name: str) -> NoReturn:
        raise pickle.UnpicklingError(f"refuses {module}.{name}")


def _read_pickle(path: Path) -> Rolls:
    with path.open("rb") as file:
        table = _PlainUnpickler(file, encoding="latin1").load()
    return {
        name: [
            _roll(piece, f"{path}, {name}, piece {k}")
            for k, piece in enumerate(table[name])
        ]
        for name in examples.SPLITS
    }


def _roll(piece: Sequence[Sequence[Any]], source: str) -> np.ndarray:
    roll = np.zeros((len(piece), NUM_PITCHES), np.uint8)
    for step, pitches in enumerate(piece):
        for pitch in pitches:
            if not 0 <= int(pitch) - MIN_PITCH < NUM_PITCHES:
                raise InputError(
                    f"{source}: pitches must be {MIN_PITCH} to "
                    f"{MIN_PITCH + NUM_PITCHES - 1}, got {pitch} at step {step}."
                )
            roll[step, int(pitch) - MIN_PITCH] = 1
    return roll


def _read_mat(path: Path) -> Rolls:
    from scipy import io

    try:
        table = io.loadmat(path)
    except NotImplementedError:
        raise InputError(f"{path} is a file of MATLAB 7.3: save it with -v7.") from None
    return {
        name: [np.asarray(roll).astype(np.uint8) for roll in table[f"{name}data"].flat]
        for name in examples.SPLITS
    }


_READERS = {
    ".npz": _read_npz,
    ".pickle": _read_pickle,
    ".pkl": _read_pickle,
    ".mat": _read_mat,
}


def to_matrices(roll: np.ndarray) -> Matrices:
    """Makes canonical matrices of a roll; every run of play is one held note.

    Args:
        roll: uint8 [steps, 88], 0 or 1.
    """
    cells = np.zeros((len(roll), 128, 3), np.uint8)
    here = cells[:, MIN_PITCH : MIN_PITCH + NUM_PITCHES]
    here[..., PLAY] = roll
    here[..., VOLUME] = roll * VELOCITY
    return Matrices(cells, bar_position=(np.arange(len(roll)) % 16).astype(np.uint8))


def write_records(
    splits: Mapping[str, Sequence[np.ndarray]], name: str, data_dir: str | Path
) -> examples.DatasetInfo:
    """Writes a benchmark as a data set that training and evaluation read.

    Args:
        splits: rolls by split, as `read` returns them.
        name: the benchmark's name, which becomes the style.
        data_dir: left alone if it already holds the data set.

    Raises:
        InputError: If it holds another one.
    """
    pieces = {split: list(map(to_matrices, rolls)) for split, rolls in splits.items()}
    return writing.write(pieces, name, data_dir)
