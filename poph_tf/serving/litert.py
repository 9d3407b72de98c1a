"""Converts a model to LiteRT: one step of the sampler that runs without TensorFlow.

The flatbuffer holds the sampler's own graph of a step: for one piece and for several,
each with the full memory of the model and with a short one. The loop and the random
numbers are left to the caller. `generation/light_engine.py` runs it.
"""

import itertools
import os
import pathlib
import tempfile
from collections.abc import Callable
from typing import Any

import flatbuffers
import keras
import numpy as np
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema

from poph_tf import files, models
from poph_tf.config import ModelConfig
from poph_tf.errors import InputError
from poph_tf.generation import controls as controls_lib
from poph_tf.generation.controls import Controls
from poph_tf.generation.light_step import STATE
from poph_tf.generation.sampler import Sampler
from poph_tf.models import LIGHT_FILE, LIGHT_WEIGHTS, SETTINGS_FILE
from poph_tf.models.layers.chord_progression import NUM_DEGREES
from poph_tf.models.polyphony_model import PolyphonyModel

Specs = dict[str, tf.TensorSpec]
COUNTERS = ("step", "bar_position", "bar_steps", "key")
# Rows of a step; 16 gained no more than 4 (docs/results/did-not-help.md).
BATCHES = (1, 4)
# Steps: eight bars of 4/4.
SHORT_MEMORY = 128


def convert(
    model: PolyphonyModel,
    short_memory: int = SHORT_MEMORY,
    weights: str = LIGHT_WEIGHTS[0],
) -> bytes:
    """Converts a model.

    Args:
        model: the model to convert.
        short_memory: steps that the graph for the start of a piece recalls.
        weights: one of `models.LIGHT_WEIGHTS`. float32 gives the same pieces as
            TensorFlow; int8 weights are multiplied as int8.

    Returns:
        The flatbuffer, with the signatures `step` (one row, full memory),
        `step_ROWS_MEMORY` and, if the model looks ahead, `ahead`.

    Raises:
        InputError: If LiteRT lacks an operation of the model, or `weights` is unknown.
    """
    if weights not in LIGHT_WEIGHTS:
        choices = ", ".join(LIGHT_WEIGHTS)
        raise InputError(f"weights must be one of {choices}, got {weights!r}.")
    sampler = Sampler(model)
    graphs = {}
    for rows, memory in itertools.product(BATCHES, _memories(model, short_memory)):
        name = f"step_{rows}_{memory}"
        graphs[name] = _step(sampler, rows, memory)
    graphs["step"] = graphs.pop(f"step_1_{_memories(model, short_memory)[-1]}")
    if model.config.tracks and model.config.look_ahead_units:
        graphs["ahead"] = _ahead(sampler)
    module = tf.Module()
    module.weights = [weight.value for weight in model.variables]
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(module, folder, signatures=graphs)
        converter = tf.lite.TFLiteConverter.from_saved_model(
            folder, signature_keys=[*graphs]
        )
        if weights != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if weights == "float16":
            converter.target_spec.supported_types = [tf.float16]
        try:
            return compact(converter.convert())
        # The converter raises errors of many types.
        except Exception as error:
            line = str(error).splitlines()[0]
            raise InputError(
                f"A model of the preset {model.config.preset} cannot be converted to "
                f"LiteRT: {line}"
            ) from error


def export(
    model_dir: str | os.PathLike[str],
    export_dir: str | os.PathLike[str],
    weights: str = LIGHT_WEIGHTS[0],
) -> pathlib.Path:
    """Writes the converted model of a directory, with its settings.

    Args:
        model_dir: a directory of training, or the name of a pretrained model.
        export_dir: the output folder; may be the same.
        weights: as `convert` takes it.

    Returns:
        The folder, which `poph_tf.load` and the commands accept as a model directory.
    """
    model = models.load(model_dir)
    folder = pathlib.Path(export_dir)
    folder.mkdir(parents=True, exist_ok=True)
    light = convert(model, weights=weights)
    settings = models.read_settings(model_dir)
    settings |= {"model": model.config.to_dict()}
    if folder.resolve() != pathlib.Path(model_dir).resolve():
        # A killed export must not leave another model's settings beside this one.
        (folder / SETTINGS_FILE).unlink(missing_ok=True)
    files.write(folder / LIGHT_FILE, light)
    files.write_json(folder / SETTINGS_FILE, settings)
    return folder


def compact(content: bytes) -> bytes:
    """Removes tensor names, empty buffers and copies from a flatbuffer.

    Thousands of small tensors have names and buffers that nothing reads; they make up a
    tenth of the file.
    """
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(content, 0))
    kept, places = [model.buffers[0]], {}

    def place_of(buffer: int) -> int:
        if model.buffers[buffer].data is None:
            return 0  # Buffer 0 is empty in all files.
        if buffer not in places:
            places[buffer] = len(kept)
            kept.append(model.buffers[buffer])
        return places[buffer]

    for graph in model.subgraphs:
        _drop_copies(graph, model)
        for tensor in graph.tensors:
            tensor.name = None
            if tensor.quantization and tensor.quantization.scale is None:
                tensor.quantization = None
            tensor.buffer = place_of(tensor.buffer)
    for entry in model.metadata:
        entry.buffer = place_of(entry.buffer)
    model.buffers = kept
    builder = flatbuffers.Builder(len(content))
    builder.Finish(model.Pack(builder), content[4:8])
    return bytes(builder.Output())


def _memories(model: PolyphonyModel, short: int) -> list[int]:
    """The steps that the graphs recall, ascending; 0 leaves the memory as it is."""
    config = model.config
    if config.time_attention != "frames":
        return [0]
    return [
        *(short,) * (short < config.time_attention_steps),
        config.time_attention_steps,
    ]


def _step(sampler: Sampler, rows: int, memory: int) -> Any:
    config, zero = sampler.config, sampler.zero_state(rows)
    # The caller counts: it passes the bar position and the step's random numbers.
    counters = {name: zero.pop(name) for name in COUNTERS if name in zero}
    zero |= {
        "log_likelihood": tf.zeros([rows]),
        "sounded": tf.zeros([rows, config.num_pitches]),
    }
    scales = None if config.key else controls_lib.key_scales(config)
    names = _control_specs(config, sampler.grid, rows)
    specs = _specs(_flat(zero))
    suffixes = ("_keys", "_values", "_valid")
    recalled = [
        k
        for k, spec in specs.items()
        if memory and k.endswith(suffixes) and spec.shape.rank > 1
    ]
    for k in recalled:
        shape = (rows, memory, *specs[k].shape[2:])
        specs[k] = tf.TensorSpec(shape, specs[k].dtype, k)

    def step(**inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        known = {name: inputs.pop(name) for name in names}
        seed = tf.zeros([rows, 2], tf.int32)
        controls = Controls(seed=seed, key_scales=scales, **known)
        frame, state = sampler.draw_step(_packed(zero, inputs) | counters, controls)
        flat = _flat({name: state[name] for name in zero})
        return {
            "frame": frame,
            **flat,
            **{name: flat[name][:, -memory:] for name in recalled},
        }

    return _graph(step, {**names, **specs})


def _control_specs(config: ModelConfig, grid: tuple[int, ...], rows: int) -> Specs:
    """The controls of a step."""
    pitches = config.num_pitches
    shapes: dict[str, tuple[int, ...]] = {
        "numbers": (max(len(config.tracks), 1), pitches, 2),
        "style": (len(config.styles),),
        "constraints": (*grid, 4),
        "pitch_bias": (pitches,),
    }
    if config.tracks and config.look_ahead_units:
        width = pitches * config.look_ahead_units
        shapes["look_ahead"] = (width + NUM_DEGREES * config.chords,)
    numbers = [
        *("temperature", "replay_temperature", "silence_temperature", "scored"),
        *("density", "min_probability", "probability_exponent", "key_strength"),
    ]
    numbers += ["form_strength"] * config.form
    numbers += ["chord_strength"] * config.chords
    numbers += ["top_p"] * any(track.voice for track in config.tracks)
    shapes |= dict.fromkeys(numbers, ())
    specs = {k: tf.TensorSpec((rows, *v), tf.float32, k) for k, v in shapes.items()}
    whole: tuple[str, ...] = ("bar_position",) + ("bars_left",) * bool(config.tracks)
    whole += ("key",) * config.key + ("returns",) * config.form
    return specs | {k: tf.TensorSpec((rows,), tf.int32, k) for k in whole}


def _ahead(sampler: Sampler) -> Any:
    """The look-ahead of one step, from the last step to the first.

    Its input `given` has the cells of the previous step and of this one, as in `Task`.
    """
    zero = sampler.zero_look_ahead(1)

    def ahead(given: tf.Tensor, **inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        steps = {name: inputs.pop(name) for name in names}
        out, after = sampler.look_ahead_step(_packed(zero, inputs), given, **steps)
        return {"look_ahead": out, **_flat(after)}

    cells = (1, 2, *sampler.grid, 4)
    specs = {"given": tf.TensorSpec(cells, tf.float32, "given")}
    names = ["bar_position", "bars_left"]
    specs |= {name: tf.TensorSpec((1, 1), tf.int32, name) for name in names}
    if sampler.config.chords:
        names.append("key")
        specs["key"] = tf.TensorSpec((1,), tf.int32, "key")
    return _graph(ahead, {**specs, **_specs(_flat(zero))})


def _graph(function: Callable[..., Any], specs: Specs) -> Any:
    return tf.function(function, autograph=False).get_concrete_function(**specs)


def _specs(tensors: dict[str, tf.Tensor]) -> Specs:
    return {k: tf.TensorSpec(v.shape, v.dtype, k) for k, v in tensors.items()}


def _flat(state: Any) -> dict[str, tf.Tensor]:
    """The tensors of a nested state by the path to each."""
    leaves = keras.tree.flatten_with_path(state)
    return {"_".join(map(str, (STATE, *path))): leaf for path, leaf in leaves}


def _packed(like: Any, flat: dict[str, tf.Tensor]) -> Any:
    """The inverse of `_flat`."""
    return keras.tree.pack_sequence_as(like, [flat[name] for name in _flat(like)])


def _drop_copies(graph: Any, model: Any) -> None:
    """Drops slices of whole tensors, which the converter makes for each new axis."""
    same: dict[int, int] = {}
    needed = []
    for operator in graph.operators:
        operator.inputs = [same.get(k, k) for k in operator.inputs]
        if _copies(operator, graph, model):
            same[operator.outputs[0]] = operator.inputs[0]
        else:
            needed.append(operator)
    graph.operators = needed


def _copies(operator: Any, graph: Any, model: Any) -> bool:
    """Whether an operator is a slice of a whole tensor and no output of the graph."""
    code = model.operatorCodes[operator.opcodeIndex].builtinCode
    if code != schema.BuiltinOperator.STRIDED_SLICE:
        return False
    (output,) = operator.outputs
    source, *_, strides = (graph.tensors[k] for k in operator.inputs)
    whole = np.array_equal(source.shape, graph.tensors[output].shape)
    data = model.buffers[strides.buffer].data
    if not whole or output in graph.outputs or data is None:
        return False
    return set(np.frombuffer(bytes(data), "<i4")) == {1}
