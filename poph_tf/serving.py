"""The SavedModel: a model that composes and scores behind TF Serving.

Signatures (every input has the batch axis, because TF Serving merges requests along
it; pitches count from `min_pitch` of the model's config):

`serving_default` and `compose`:
    seed int32 [batch, 2], num_steps int32 [batch] 1..max_steps, temperature float32
    [batch] 0..10, style float32 [batch, styles] adding up to 1
    -> play, replay, volume uint8 [batch, time, pitch] (volume 0..127; zeros after a
    piece's end; time is the longest num_steps), length int32 [batch].
`score`:
    play, replay, volume uint8 [batch, time, pitch], bar_position int32 [batch, time],
    style float32 [batch, styles]
    -> play_nats, replay_nats float32 [batch, time].

What is out of range gets INVALID_ARGUMENT with a line that says what is allowed.
"""

import json
import os
import tempfile

import tensorflow as tf

from poph_tf import dataset, losses, provenance
from poph_tf.errors import InputError
from poph_tf.sampling import Sampler

MAX_STEPS = 4096
MAX_BATCH = 64
MAX_TEMPERATURE = 10.0
BAR_STEPS = 16


class ServingModule(tf.Module):
    """The graph of the signatures over a model's variables.

    Args:
        model: PolyphonyModel.
        max_steps: int. Longest piece that a request may ask for, or score.
    """

    def __init__(self, model, max_steps=MAX_STEPS):
        super().__init__()
        self.config = model.config
        self.max_steps = max_steps
        self.network = model.network
        self.sampler = Sampler(model)
        # tf.Module does not find the variables inside Keras layers by itself.
        self.model_variables = [variable.value for variable in model.variables]

    def signatures(self):
        """Concrete functions by name, for tf.saved_model.save."""
        styles = tf.TensorSpec(
            [None, len(self.config.styles)], tf.float32, name="style"
        )
        compose = tf.function(
            self.compose,
            input_signature=[
                tf.TensorSpec([None, 2], tf.int32, name="seed"),
                tf.TensorSpec([None], tf.int32, name="num_steps"),
                tf.TensorSpec([None], tf.float32, name="temperature"),
                styles,
            ],
        )
        roll = [None, None, self.config.num_pitches]
        score = tf.function(
            self.score,
            input_signature=[
                tf.TensorSpec(roll, tf.uint8, name=name)
                for name in ("play", "replay", "volume")
            ]
            + [tf.TensorSpec([None, None], tf.int32, name="bar_position"), styles],
        )
        return {"serving_default": compose, "compose": compose, "score": score}

    def compose(self, seed, num_steps, temperature, style):
        """Composes a batch of pieces from bar position 0 in 4/4."""
        sizes = [tf.shape(x)[0] for x in (seed, num_steps, temperature, style)]
        checks = _check_sizes(sizes) + [
            _must(
                (num_steps >= 1) & (num_steps <= self.max_steps),
                f"num_steps must be 1 to {self.max_steps}",
            ),
            _must(
                (temperature >= 0) & (temperature <= MAX_TEMPERATURE),
                f"temperature must be 0 to {MAX_TEMPERATURE:g}",
            ),
            _check_style(style),
        ]
        with tf.control_dependencies(checks):
            state = self.sampler.zero_state(tf.identity(sizes[0]), BAR_STEPS)
            controls = {"seed": seed, "temperature": temperature, "style": style}
            cells, _ = self.sampler.draw_steps(
                state, tf.reduce_max(num_steps), controls
            )
        alive = tf.sequence_mask(num_steps, dtype=tf.uint8)[:, :, None]
        play, replay, volume = tf.unstack(cells, axis=-1)
        return {
            "play": play * alive,
            "replay": replay * alive,
            "volume": volume * alive,
            "length": num_steps,
        }

    def score(self, play, replay, volume, bar_position, style):
        """Negative log-likelihood of each step given all before it, in nats."""
        shapes = [tf.shape(x)[:2] for x in (play, replay, volume, bar_position)]
        checks = _check_sizes([s[0] for s in shapes] + [tf.shape(style)[0]]) + [
            tf.debugging.Assert(
                tf.reduce_all([tf.reduce_all(s == shapes[0]) for s in shapes]),
                ["play, replay, volume and bar_position must have the same steps"],
            ),
            _must(play <= 1, "play must be 0 or 1"),
            _must(replay <= 1, "replay must be 0 or 1"),
            _must(volume <= 127, "volume must be 0 to 127"),
            _must(bar_position >= 0, "bar_position must be 0 or more"),
            _must(
                shapes[0][1] <= self.max_steps,
                f"at most {self.max_steps} steps are scored",
            ),
            _check_style(style),
        ]
        with tf.control_dependencies(checks):
            current = dataset.to_frames(tf.stack([play, replay, volume], axis=-1))
        previous = tf.concat([tf.zeros_like(current[:, :1]), current[:, :-1]], axis=1)
        inputs = {
            "previous": previous,
            "current": current,
            "bar_position": bar_position,
            "style": style,
        }
        state = self.network.zero_state(tf.shape(play)[0])
        hidden, _ = self.network.time_axis(inputs, state)
        outputs = self.network.pitch_axis(hidden, inputs)
        return self._nats(outputs, current, previous)

    @staticmethod
    def _nats(outputs, current, previous):
        play = current[..., 0]
        play_nats = losses.play_nats(play, outputs["play"])
        replay_nats = tf.zeros_like(play_nats)
        if "replay" in outputs:
            possible = losses.replay_possible(play, previous[..., 0])
            replay_nats = losses.replay_nats(
                possible, current[..., 1], outputs["replay"]
            )
        return {"play_nats": play_nats, "replay_nats": replay_nats}


def _must(condition, message):
    """An assertion op; it stays outside whatever XLA compiles, which drops it."""
    return tf.debugging.Assert(tf.reduce_all(condition), [message])


def _check_sizes(sizes):
    same = tf.reduce_all([size == sizes[0] for size in sizes])
    return [
        tf.debugging.Assert(same, ["all inputs must have the same batch size"]),
        tf.debugging.Assert(
            (sizes[0] >= 1) & (sizes[0] <= MAX_BATCH),
            [f"the batch must be 1 to {MAX_BATCH}"],
        ),
    ]


def _check_style(style):
    total = tf.reduce_sum(style, axis=-1)
    shares = tf.reduce_all(style >= 0) & tf.reduce_all(tf.abs(total - 1.0) < 1e-3)
    return _must(shares, "style must be shares from 0 to 1 that add up to 1")


def export(model, export_dir, *, max_steps=MAX_STEPS, settings=None):
    """Writes the next version of a SavedModel, whole or not at all.

    Args:
        model: PolyphonyModel.
        export_dir: str. Versions 1, 2, ... appear below it.
        max_steps: int. Longest piece.
        settings: dict kept beside the graph as an asset, or None.

    Returns:
        str, the directory of the new version.
    """
    if os.path.isfile(export_dir):
        raise InputError(
            f"export_dir must be a directory, got the file {export_dir!r}."
        )
    os.makedirs(export_dir, exist_ok=True)
    module = ServingModule(model, max_steps)
    temporary = tempfile.mkdtemp(prefix=".writing-", dir=export_dir)
    tf.saved_model.save(module, temporary, signatures=module.signatures())
    card = {
        "model": model.config.to_dict(),
        "max_steps": max_steps,
        "max_batch": MAX_BATCH,
        "settings": settings,
        "provenance": provenance.describe(),
    }
    extra = os.path.join(temporary, "assets.extra")
    os.makedirs(extra)
    provenance.write_json(os.path.join(extra, "model_card.json"), card)
    os.chmod(temporary, 0o755)
    path = os.path.join(export_dir, str(_next_version(export_dir)))
    os.rename(temporary, path)
    return path


def _next_version(export_dir):
    versions = [int(name) for name in os.listdir(export_dir) if name.isdigit()]
    return max(versions, default=0) + 1


def describe(export_path):
    """The model card of an exported version, a dict."""
    path = os.path.join(export_path, "assets.extra", "model_card.json")
    with open(path, encoding="utf-8") as file:
        return json.load(file)
