"""The network that tells how much each frame looks like a beat, in numpy.

A convolution over time, then residual blocks, each a dilated convolution and one of
width 1; the dilation doubles from block to block, so that the last sees ten seconds on
each side. Built and trained by tools/train_beats.py; the weights are stored beside this
module.

Reference: Davies & Böck, Temporal Convolutional Networks for Musical Audio Beat
Tracking, EUSIPCO 2019.
"""

import functools
import hashlib
import io
from pathlib import Path

import numpy as np

WEIGHTS = Path(__file__).with_name("beat_network.npz")
# Here, so that a digest of the code tells which weights a result was made with.
WEIGHTS_SHA256 = "30415afa3b183c8c3345386d29609d0234ce34b25f685cb64ea5f76bd0f48725"
UNITS = 28
KERNEL = 5
DILATIONS = (1, 2, 4, 8, 16, 32, 64, 128)
# A kernel and a bias of the first layer, of both in each block, and of the last.
NUM_ARRAYS = 2 * (2 + 2 * len(DILATIONS))
# Beat intervals that the network distinguishes, in seconds.
INTERVALS = np.exp(np.linspace(np.log(0.2), np.log(2.8), 24))


@functools.cache
def weights(path: Path = WEIGHTS) -> tuple[np.ndarray, ...]:
    """Kernels [tap, in, out] and biases [out] in turn, network by network."""
    data = path.read_bytes()
    if path == WEIGHTS and hashlib.sha256(data).hexdigest() != WEIGHTS_SHA256:
        raise ValueError(f"{path} is not the file that belongs to this version.")
    with np.load(io.BytesIO(data)) as file:
        return tuple(file[name].astype(np.float32) for name in file.files)


def apply(
    features: np.ndarray, parameters: tuple[np.ndarray, ...] | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Runs the network or networks.

    Args:
        features: float32 [frame, feature] of beat_features.
        parameters: weights of a network, or of several, whose outputs are averaged;
            None uses those of the package.

    Returns:
        float [frame] log-odds of a beat, the same of a bar line, and float [frame,
        interval] log-probability of each of `INTERVALS`.
    """
    parameters = parameters or weights()
    networks = range(0, len(parameters), NUM_ARRAYS)
    outputs = [_run(features, parameters[k : k + NUM_ARRAYS]) for k in networks]
    out = np.stack(outputs).astype(np.float64).mean(axis=0)
    tempo = out[:, 2:] - out[:, 2:].max(axis=1, keepdims=True)
    tempo -= np.log(np.exp(tempo).sum(axis=1, keepdims=True))
    return out[:, 0], out[:, 1], tempo


def _run(features: np.ndarray, parameters: tuple[np.ndarray, ...]) -> np.ndarray:
    """The outputs of one network: float32 [frame, 2 + interval]."""
    layers = iter(parameters)
    hidden = _elu(_convolved(features, next(layers), next(layers)))
    for dilation in DILATIONS:
        inner = _elu(_convolved(hidden, next(layers), next(layers), dilation))
        hidden = hidden + _convolved(inner, next(layers), next(layers))
    return _convolved(_elu(hidden), next(layers), next(layers))


def _convolved(
    values: np.ndarray, kernel: np.ndarray, bias: np.ndarray, dilation: int = 1
) -> np.ndarray:
    """A convolution over frames that keeps the length: float32 [frame, out]."""
    reach = (len(kernel) - 1) // 2 * dilation
    padded = np.pad(values, ((reach, reach), (0, 0)))
    made = np.tile(bias, (len(values), 1))
    for tap in range(len(kernel)):
        made += padded[tap * dilation : tap * dilation + len(values)] @ kernel[tap]
    return made


def _elu(values: np.ndarray) -> np.ndarray:
    return np.where(values > 0, values, np.expm1(np.minimum(values, 0)))
