"""The field's piano-roll benchmarks: read in their usual files, kept as records.

JSB Chorales, MuseData, Nottingham and Piano-midi come as 88-pitch rolls, play only, in
splits of their own. They are read from `.npz` (packed bits and lengths), from the
original `.pickle` (lists of sounding pitches for each step) and from the `.mat` files
of later work (one array [steps, 88] for each piece).

Source: Boulanger-Lewandowski et al. (2012), ICML; splits as distributed there.
"""

import os
import pickle
import zipfile
import zlib

import numpy as np

from poph_tf.data import matrices, writing
from poph_tf.errors import InputError

MIN_PITCH, NUM_PITCHES = 21, 88
SPLITS = ("train", "valid", "test")
# The rolls have no velocities; canonical matrices need one where a note sounds.
VOLUME = 64
# What numpy, pickle and scipy were seen to raise over files that are something else.
UNREADABLE = (
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    TypeError,
    ValueError,
    pickle.UnpicklingError,
    zipfile.BadZipFile,
    zlib.error,
)


def read(path):
    """Reads a benchmark file.

    Args:
        path: str, `.npz`, `.pickle`/`.pkl` or `.mat`.

    Returns:
        dict from "train", "valid", "test" to a list of uint8 [steps, 88].

    Raises:
        InputError: If there is no such file or it is none of these.
    """
    readers = {
        ".npz": _read_npz,
        ".pickle": _read_pickle,
        ".pkl": _read_pickle,
        ".mat": _read_mat,
    }
    extension = os.path.splitext(path)[1].lower()
    if extension not in readers:
        raise InputError(f"{path}: must be one of {', '.join(readers)}.")
    if not os.path.exists(path):
        raise InputError(f"There is no file {path!r}.")
    try:
        splits = readers[extension](path)
    except InputError:
        raise
    except UNREADABLE as error:
        raise InputError(f"{path} is no piano-roll benchmark: {error!r}.") from error
    for name, rolls in splits.items():
        if not rolls or any(roll.shape[1:] != (NUM_PITCHES,) for roll in rolls):
            raise InputError(
                f"{path}: {name} must hold rolls of {NUM_PITCHES} pitches."
            )
    return splits


def _read_npz(path):
    splits = {}
    with np.load(path, allow_pickle=False) as file:
        for name in SPLITS:
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

    def find_class(self, module, name):
        raise pickle.UnpicklingError(f"refuses {module}.{name}")


def _read_pickle(path):
    with open(path, "rb") as file:
        table = _PlainUnpickler(file, encoding="latin1").load()
    return {
        name: [
            _roll(piece, f"{path}, {name}, piece {k}")
            for k, piece in enumerate(table[name])
        ]
        for name in SPLITS
    }


def _roll(piece, source):
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


def _read_mat(path):
    from scipy import io

    try:
        table = io.loadmat(path)
    except NotImplementedError:
        raise InputError(f"{path} is of MATLAB 7.3: save it with -v7.") from None
    except Exception as error:
        # A file that is something else meets scipy's reader with whatever comes.
        raise ValueError(str(error)) from error
    return {
        name: [np.asarray(roll).astype(np.uint8) for roll in table[f"{name}data"].flat]
        for name in SPLITS
    }


def to_matrices(roll):
    """uint8 [steps, 88] -> Matrices; every run of play is one held note."""
    cells = np.zeros((len(roll), 128, 3), np.uint8)
    here = cells[:, MIN_PITCH : MIN_PITCH + NUM_PITCHES]
    here[..., 0] = roll
    here[..., 2] = roll * VOLUME
    bars = (np.arange(len(roll)) % 16).astype(np.uint8)
    return matrices.Matrices(cells=cells, bar_position=bars)


def write_records(splits, name, data_dir):
    """Writes a benchmark as a data set that training and evaluation read.

    Args:
        splits: dict as `read` returns it.
        name: str, the benchmark's; it becomes the style.
        data_dir: str. Nothing is done where it already holds the data set.

    Returns:
        DatasetInfo.

    Raises:
        InputError: If it holds another one.
    """
    pieces = {
        split: [to_matrices(roll) for roll in rolls] for split, rolls in splits.items()
    }
    return writing.write(pieces, name, data_dir)
