"""The checks of tools/gpu_check.py: each returns a `Finding`.

All run on the devices of TensorFlow: GPUs, or a CPU that is split in two.
"""

import dataclasses
import math
import pathlib
import platform
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks import train

PASSED, FAILED, UNCHECKED = "passed", "failed", "not checked"
NO_GPU = "There is no GPU; the figures are those of the CPU."
# Names of the kernels of cuDNN's recurrent layers.
CUDNN_RNN = re.compile(
    r"cudnn.*rnn|rnn.*cudnn|RNN_block|persistRNN|LSTM_elementWise", re.IGNORECASE
)
# Largest relative difference of the losses in bfloat16 and float32, from rounding.
LOSS_TOLERANCE = 0.02
# Largest difference of weights after SGD on one device and on several.
WEIGHT_TOLERANCE, COMPARED_STEPS = 1e-5, 4
COMPOSED_PIECES = (1, 16)
MIB = 2**20


@dataclasses.dataclass
class Finding:
    """The result of a check.

    Attributes:
        verdict: one of `PASSED`, `FAILED`, `UNCHECKED`.
        said: the reason, one sentence.
        figures: figures by name.
    """

    verdict: str
    said: str
    figures: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Options:
    """What is measured; see the flags of tools/gpu_check.py."""

    preset: str = "poph2"
    batch_size: int = 16
    window_steps: int = 128
    num_bars: int = 8
    repetitions: int = 5


def prepare_devices() -> None:
    """Splits the CPU in two if there is no GPU; call it before TensorFlow starts."""
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    for device in gpus:
        tf.config.experimental.set_memory_growth(device, True)
    if not gpus:
        (cpu,) = tf.config.list_physical_devices("CPU")
        both = [tf.config.LogicalDeviceConfiguration()] * 2
        tf.config.set_logical_device_configuration(cpu, both)


def devices() -> list[str]:
    """The names of the GPUs, or of the parts of the CPU if there are none."""
    import tensorflow as tf

    found = tf.config.list_logical_devices("GPU")
    return [device.name for device in found or tf.config.list_logical_devices("CPU")]


def has_gpu() -> bool:
    """Whether TensorFlow has a GPU."""
    return "GPU" in devices()[0]


def machine() -> dict[str, Any]:
    """A description of the machine for the report."""
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    about = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
    build = tf.sysconfig.get_build_info()
    return {
        "GPUs": [details.get("device_name", "unknown") for details in about] or "none",
        "compute capability": [d.get("compute_capability") for d in about] or "",
        "TensorFlow": tf.__version__,
        "CUDA, cuDNN": [build.get(f"{n}_version", "none") for n in ("cuda", "cudnn")],
        "Python": platform.python_version(),
        "processor": platform.machine(),
    }


def lstms_on_cudnn(options: Options) -> Finding:
    """Profiles a training step and reads the names of its kernels."""
    step, batch = _step(options)
    step.run(batch)
    names = profiled(lambda: step.run(batch))
    on_gpu = {name for plane, own in names.items() if "GPU" in plane for name in own}
    recurrent = sorted(name for name in on_gpu if CUDNN_RNN.search(name))
    figures = {
        "kernels on GPU": len(on_gpu),
        "events on the host": sum(len(own) for own in names.values()) - len(on_gpu),
        "recurrent kernels of cuDNN": [f"`{name[:80]}`" for name in recurrent[:8]],
    }
    if not has_gpu():
        return Finding(
            UNCHECKED, "There is no GPU, so no kernel of cuDNN; the profile was read.",
            figures,
        )  # fmt: skip
    if recurrent:
        return Finding(PASSED, "The profile has recurrent kernels of cuDNN.", figures)
    return Finding(FAILED, "No kernel of the profile is one of cuDNN's LSTM.", figures)


def profiled(work: Callable[[], Any]) -> dict[str, set[str]]:
    """The names of the profiled events of some work, by device or host."""
    import tensorflow as tf
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    with tempfile.TemporaryDirectory() as folder:
        tf.profiler.experimental.start(folder)
        try:
            work()
        finally:
            tf.profiler.experimental.stop()
        paths = list(pathlib.Path(folder).rglob("*.xplane.pb"))
        spaces = [xplane_pb2.XSpace.FromString(path.read_bytes()) for path in paths]
    return {
        plane.name: {event.name for event in plane.event_metadata.values()}
        for space in spaces
        for plane in space.planes
    }


def mixed_precision(options: Options) -> Finding:
    """Compares the first loss and the speed in float32 and in bfloat16."""
    loss, seconds = {}, {}
    for precision in ("float32", "mixed_bfloat16"):
        step, batch = _step(options, precision=precision)
        loss[precision] = float(step.run(batch)["loss"])
        seconds[precision] = _seconds(step, batch, options)
    single, mixed = loss.values()
    figures = {
        **{f"first loss, {name}": value for name, value in loss.items()},
        **{f"steps per second, {name}": 1 / value for name, value in seconds.items()},
        "speed-up": seconds["float32"] / seconds["mixed_bfloat16"],
    }
    if not math.isclose(single, mixed, rel_tol=LOSS_TOLERANCE):
        return Finding(FAILED, "The losses differ by more than rounding.", figures)
    return _on_gpu("The losses agree except for rounding.", figures)


def training_speed(options: Options) -> Finding:
    """Steps per second, and the share of the rate of one large matrix product."""
    figures = train.measure(
        options.preset,
        options.repetitions,
        options.batch_size,
        options.window_steps,
        slices=int(has_gpu()),
    )
    share = figures["share_of_matmul_peak"]
    rate = 1 / figures["seconds_per_step"]
    said = f"{rate:.3g} optimizer steps per second, {share:.0%} of the peak."
    return _on_gpu(said, figures)


def composing(options: Options) -> Finding:
    """Composes with XLA and without."""
    import numpy as np

    from poph_tf import models
    from poph_tf.config import GenerationConfig
    from poph_tf.generation.engine import Engine

    model = models.build(train.settings(options.preset))
    figures: dict[str, Any] = {}
    pieces = {}
    for kind, jit_compile in (("XLA", True), ("no XLA", False)):
        engine = Engine(model, jit_compile=jit_compile)
        for count in COMPOSED_PIECES:
            wanted = GenerationConfig(num_pieces=count, num_bars=options.num_bars)
            pieces[kind] = engine.compose(wanted)

            def again(engine: Engine = engine, of: GenerationConfig = wanted) -> int:
                return len(engine.compose(of))

            seconds = train.fastest(again, options.repetitions)
            steps = sum(map(len, pieces[kind]))
            figures[f"steps per second, {count} pieces, {kind}"] = steps / seconds
    equal = [
        np.array_equal(a.cells, b.cells)
        for a, b in zip(pieces["XLA"], pieces["no XLA"], strict=True)
    ]
    figures["pieces equal with and without XLA"] = f"{sum(equal)} of {len(equal)}"
    return _on_gpu("Pieces were drawn with XLA and without.", figures)


def replicas(options: Options) -> Finding:
    """Compares the weights after some steps on one device and on all."""
    import numpy as np
    import tensorflow as tf

    names = devices()
    if len(names) < 2:
        return Finding(UNCHECKED, "There is only one GPU.")
    exact = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(False)
    weights, rates = [], []
    for strategy in (
        tf.distribute.OneDeviceStrategy(names[0]),
        tf.distribute.MirroredStrategy(names),
    ):
        step, batch = _step(options, strategy=strategy, optimizer="sgd")
        for _ in range(COMPARED_STEPS):
            step.run(batch)
        weights.append([np.array(v) for v in step.model.trainable_variables])
        rates.append(1 / _seconds(step, batch, options))
    tf.config.experimental.enable_tensor_float_32_execution(exact)
    apart = max(float(np.abs(a - b).max()) for a, b in zip(*weights, strict=True))
    figures = {
        "devices": names,
        f"largest difference of weights after {COMPARED_STEPS} steps": apart,
        "steps per second, 1 device": rates[0],
        f"steps per second, {len(names)} devices": rates[1],
        "speed-up": rates[1] / rates[0],
    }
    if apart > WEIGHT_TOLERANCE:
        return Finding(FAILED, f"Weights differ by {apart:.2g}.", figures)
    return _on_gpu(f"Weights agree to {WEIGHT_TOLERANCE:g}.", figures)


def memory(options: Options) -> Finding:
    """The peak memory of the previous checks."""
    del options
    import tensorflow as tf

    figures = {"host, MiB": train.peak_memory_mb()}
    if not has_gpu():
        return Finding(UNCHECKED, NO_GPU, figures)
    for k, _ in enumerate(devices()):
        used = tf.config.experimental.get_memory_info(f"GPU:{k}")
        figures[f"GPU {k}, MiB"] = used["peak"] / MIB
    return Finding(PASSED, "The peak of all checks.", figures)


CHECKS: dict[str, Callable[[Options], Finding]] = {
    "LSTMs on cuDNN": lstms_on_cudnn,
    "mixed precision": mixed_precision,
    "training": training_speed,
    "composing with XLA": composing,
    "one device and all": replicas,
    "memory": memory,
}


def _on_gpu(said: str, figures: Mapping[str, Any]) -> Finding:
    """A passed check, if it ran on a GPU."""
    if has_gpu():
        return Finding(PASSED, said, figures)
    return Finding(UNCHECKED, f"{said} {NO_GPU}", figures)


def _step(options: Options, strategy: Any = None, **training: Any) -> tuple[Any, Any]:
    """A training step with new weights, without dropout, and its batch."""
    import tensorflow as tf

    from poph_tf import config
    from poph_tf.training.run_state import RunState
    from poph_tf.training.train_step import TrainStep

    # Dropout would give each replica its own masks.
    model = train.settings(options.preset, dropout=0.0, recurrent_dropout=0.0)
    strategy = strategy or tf.distribute.get_strategy()
    state = RunState(model, config.TrainingConfig(**training), strategy)
    batch = train.random_batch(model, options.batch_size, options.window_steps)
    data = tf.data.Dataset.from_tensors(batch)
    (batch,) = strategy.experimental_distribute_dataset(data)
    return TrainStep(state.model, state.optimizer, strategy), batch


def _seconds(step: Any, batch: Any, options: Options) -> float:
    return train.fastest(lambda: step.run(batch)["loss"], options.repetitions)


def checked(check: Callable[[Options], Finding], options: Options) -> Finding:
    """Runs a check; one that raises an error has failed, and the others continue."""
    try:
        return check(options)
    except Exception as error:  # any error goes into the report
        line = (str(error).splitlines() or [""])[0].replace("|", "\\|")
        return Finding(FAILED, f"{type(error).__name__}: {line}")


def report(
    found: Mapping[str, Finding], options: Options, about: Mapping[str, Any]
) -> str:
    """The report: the machine, a table of the checks, and their figures."""
    rows = {**about, **dataclasses.asdict(options)}
    lines = ["# Check of the GPU", "", *_table("machine, options", rows)]
    lines += ["", "| check | verdict | |", "|---|---|---|"]
    for name, finding in found.items():
        lines.append(f"| {name} | **{finding.verdict}** | {finding.said} |")
    for name, finding in found.items():
        if finding.figures:
            lines += ["", f"## {name}", "", *_table("figure", finding.figures)]
    return "\n".join(lines) + "\n"


def _table(head: str, rows: Mapping[str, Any]) -> list[str]:
    body = [f"| {name} | {_shown(value)} |" for name, value in rows.items()]
    return [f"| {head} | |", "|---|---|", *body]


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(str, value)) or "none"
    return str(value)
