"""How a network is trained; stored with the model."""

from typing import Annotated, Literal

from annotated_types import Interval

from poph_tf.config.declaration import Stored, Texts, settings
from poph_tf.errors import InputError

_Count = Annotated[int, Interval(ge=0, le=10**9)]
_Semitones = Annotated[int, Interval(ge=-48, le=48)]
_Minutes = Annotated[float, Interval(ge=0.0, le=1e6)]


@settings
class TrainingConfig(Stored):
    """The settings of a training run.

    Example:
        >>> TrainingConfig(optimizer="muon", max_steps=600).schedule
        'constant'
        >>> TrainingConfig(schedule="cosine")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        poph_tf.errors.InputError: schedule=cosine needs max_steps, ...
    """

    window_steps: Annotated[int, Interval(ge=2, le=65536)] = 128
    """Maximum steps (sixteenth notes) per window; a shorter piece is one window."""
    batch_size: Annotated[int, Interval(ge=1, le=65536)] = 16
    """Number of windows in the global batch, over all replicas."""
    accumulation: Annotated[int, Interval(ge=1, le=1024)] = 1
    """Number of parts of a batch that are processed one after the other, with their
    gradients added up: the same step in less memory."""
    epochs: Annotated[int, Interval(ge=1, le=10**6)] = 100
    """Maximum number of passes over the training split."""
    max_steps: _Count = 0
    """Maximum number of optimizer steps; 0: no limit."""
    max_minutes: _Minutes = 0.0
    """Maximum training time in minutes; 0: no limit."""
    optimizer: Literal["adam", "adamw", "muon", "nadam", "rmsprop", "sgd"] = "nadam"
    """The optimizer."""
    learning_rate: Annotated[float, Interval(ge=0.0, le=100.0)] = 1e-3
    """Learning rate."""
    schedule: Literal["constant", "cosine"] = "constant"
    """Learning rate schedule; cosine falls to 1 % at max_steps."""
    warmup_steps: _Count = 0
    """Number of steps over which the learning rate rises from 0."""
    clip_norm: Annotated[float, Interval(ge=0.0, le=1e9)] = 0.0
    """Clip the gradient to this global norm; 0: no clipping."""
    ema_decay: Annotated[float, Interval(ge=0.0, le=0.999999)] = 0.0
    """Decay of a moving average of the weights, which is saved instead; 0: none."""
    patience: Annotated[int, Interval(ge=0, le=10**6)] = 10
    """Stop after this many validations without improvement; 0: never."""
    validate_every: _Count = 0
    """Steps between validations; 0: once per epoch."""
    max_valid_pieces: _Count = 64
    """Maximum number of pieces of the validation split to score; 0: all."""
    min_transpose: _Semitones = -6
    """Lowest transposition in semitones; each window gets a random transposition."""
    max_transpose: _Semitones = 5
    """Highest transposition in semitones."""
    shuffle_windows: Annotated[int, Interval(ge=1, le=10**7)] = 2048
    """Number of windows in the shuffle buffer."""
    skip_corrupt: bool = False
    """Skip and count damaged records instead of stopping."""
    checkpoint_minutes: _Minutes = 5.0
    """Minutes between checkpoints; each validation also saves one."""
    preview_bars: Annotated[int, Interval(ge=0, le=1024)] = 0
    """Number of bars composed at each validation for TensorBoard; 0: none."""
    init_from: str = ""
    """Model directory or pretrained model to take the initial weights from; its styles
    may differ."""
    precision: Literal["float32", "mixed_bfloat16"] = "float32"
    """Numeric precision of training."""
    deterministic: bool = False
    """Make runs with the same --cores bit-identical, which costs speed."""
    seed: Annotated[int, Interval(ge=0, le=2**31 - 1)] = 0
    """Seed of weights, windows and dropout."""

    def __post_init__(self) -> None:
        if self.min_transpose > self.max_transpose:
            raise InputError(
                f"min_transpose must not exceed max_transpose, got "
                f"{self.min_transpose} > {self.max_transpose}."
            )
        if self.schedule == "cosine" and not self.max_steps:
            raise InputError("schedule=cosine needs max_steps, the length of the run.")
        if self.schedule == "cosine" and self.warmup_steps >= self.max_steps:
            raise InputError(
                f"warmup_steps must be below max_steps with schedule=cosine, got "
                f"{self.warmup_steps} and {self.max_steps}."
            )


@settings
class DistributionConfig:
    """Which devices and processes share a training run.

    Example:
        >>> DistributionConfig(strategy="mirrored", cpu_replicas=2).cpu_replicas
        2
        >>> DistributionConfig(cpu_replicas=2)
        Traceback (most recent call last):
        poph_tf.errors.InputError: cpu_replicas needs strategy=mirrored, got default.
    """

    strategy: Literal["default", "one_device", "mirrored", "multi_worker_mirrored"] = (
        "default"
    )
    """mirrored: all GPUs share the batch; multi_worker_mirrored: the GPUs of several
    processes share it (see worker_hosts)."""
    cpu_replicas: Annotated[int, Interval(ge=0, le=64)] = 0
    """Split the CPU into this many devices, with strategy=mirrored; 0: no split."""
    worker_hosts: Texts = ()
    """host:port of every worker, the chief first; empty: taken from TF_CONFIG."""
    worker_index: Annotated[int, Interval(ge=0, le=65535)] = 0
    """Index of this worker in worker_hosts."""

    def __post_init__(self) -> None:
        if self.cpu_replicas and self.strategy != "mirrored":
            raise InputError(
                f"cpu_replicas needs strategy=mirrored, got {self.strategy}."
            )
        if self.worker_hosts and self.strategy != "multi_worker_mirrored":
            raise InputError(
                f"worker_hosts needs strategy=multi_worker_mirrored, got "
                f"{self.strategy}."
            )
        if self.worker_index and not self.worker_hosts:
            raise InputError(
                f"worker_index needs worker_hosts, got {self.worker_index} alone."
            )
        if self.worker_hosts and self.worker_index >= len(self.worker_hosts):
            raise InputError(
                f"worker_index must be 0 to {len(self.worker_hosts) - 1} for "
                f"{len(self.worker_hosts)} worker_hosts, got {self.worker_index}."
            )
