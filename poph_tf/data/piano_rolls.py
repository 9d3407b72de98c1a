"""The field's piano-roll benchmarks: read from their usual files, kept as records.

JSB Chorales, MuseData, Nottingham and Piano-midi come as 88-pitch rolls, play only, in
their own splits. They are read from `.npz` (packed bits and lengths), from the
original `.pickle` (lists of sounding pitches for each step) and from the `.mat` files
of later work (one array [steps, 88] for each piece).

The chorales in sixteenths with four separate voices come as an `.npz` of arrays of
pieces, pitches float [steps, 4], soprano to bass, NaN where silent; held and repeated
notes are not distinguished. `read_voices` reads them.

Sources: Boulanger-Lewandowski et al. (2012), ICML; splits as distributed there.
Huang et al. (2017), "Counterpoint by convolution", ISMIR, for those in sixteenths.
"""

import pickle
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from poph_tf.config.tracks import CHOIR
from poph_tf.data import examples, matrices, writing
from poph_tf.data.cells import PLAY, VOLUME
from poph_tf.data.matrices import Matrices
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
        InputError: If there is no such file or it is not one of these.
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
        # numpy, pickle and scipy raise all kinds of errors on other files.
        raise InputError(f"{path} is not a piano-roll benchmark: {error!r}.") from error
    for name, rolls in splits.items():
        if not rolls or any(roll.shape[1:] != (NUM_PITCHES,) for roll in rolls):
            raise InputError(
                f"{path}: {name} must hold rolls of {NUM_PITCHES} pitches."
            )
    return splits


def read_voices(path: str | Path) -> Rolls:
    """Reads chorales with separate voices.

    Args:
        path: `.npz` with arrays of pieces.

    Returns:
        For "train", "valid" and "test" a list of pitches, uint8 [steps, 4], 0 where a
        voice is silent.

    Raises:
        InputError: If it is not such a file.
    """
    if not Path(path).exists():
        raise InputError(f"There is no file '{path}'.")
    try:
        with zipfile.ZipFile(path) as file:
            splits = {name: _object_array(file, name) for name in examples.SPLITS}
        return {name: list(map(_pitches, pieces)) for name, pieces in splits.items()}
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except Exception as error:
        raise InputError(f"{path} is not a file of chorales: {error!r}.") from error


def _object_array(file: zipfile.ZipFile, name: str) -> np.ndarray:
    with file.open(f"{name}.npy") as member:
        np.lib.format.read_magic(member)
        np.lib.format.read_array_header_1_0(member)
        return _ArrayUnpickler(member, encoding="latin1").load()


def _pitches(piece: Any) -> np.ndarray:
    pitches = np.nan_to_num(np.asarray(piece, np.float64)).astype(int)
    if pitches.ndim != 2 or pitches.shape[1] != len(CHOIR):
        raise InputError(f"pieces must be [steps, 4], got shape {pitches.shape}.")
    if pitches.min(initial=0) < 0 or pitches.max(initial=0) > 127:
        raise InputError("pitches must be 0 to 127.")
    return pitches.astype(np.uint8)


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


# Their module differs between versions of numpy.
_ARRAY_PARTS: dict[str, Any] = {
    "ndarray": np.ndarray,
    "dtype": np.dtype,
    "_reconstruct": np.empty(0).__reduce__()[0],
    "scalar": np.float64(0).__reduce__()[0],
}


class _ArrayUnpickler(pickle.Unpickler):
    """Refuses everything but arrays of numbers, and of such arrays."""

    def find_class(self, module: str, name: str) -> Any:
        if module.partition(".")[0] != "numpy" or name not in _ARRAY_PARTS:
            raise pickle.UnpicklingError(f"refuses {module}.{name}")
        return _ARRAY_PARTS[name]


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
    """Makes canonical matrices from a roll; every run of play is one held note.

    Args:
        roll: uint8 [steps, 88], 0 or 1.
    """
    cells = np.zeros((len(roll), 128, 3), np.uint8)
    here = cells[:, MIN_PITCH : MIN_PITCH + NUM_PITCHES]
    here[..., PLAY] = roll
    here[..., VOLUME] = roll * VELOCITY
    return Matrices(cells, bar_position=(np.arange(len(roll)) % 16).astype(np.uint8))


def voices_to_matrices(pitches: np.ndarray) -> Matrices:
    """Makes canonical matrices from voices; every run of a pitch is one held note.

    Args:
        pitches: uint8 [steps, 4], 0 where silent.
    """
    stack = np.zeros((*pitches.shape, 128, 3), np.uint8)
    step, voice = np.nonzero(pitches)
    stack[step, voice, pitches[step, voice]] = (1, 0, VELOCITY)
    bar_position = (np.arange(len(pitches)) % 16).astype(np.uint8)
    return matrices.from_stack(stack, CHOIR, bar_position)


def write_voices(
    splits: Mapping[str, Sequence[np.ndarray]], name: str, data_dir: str | Path
) -> examples.DatasetInfo:
    """Writes chorales with their voices, as `write_records` writes rolls."""
    pieces = {s: list(map(voices_to_matrices, rows)) for s, rows in splits.items()}
    return writing.write(pieces, name, data_dir, CHOIR)


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
