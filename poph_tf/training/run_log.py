"""What a training run leaves in its directory, apart from checkpoints.

`config.json` (all settings and provenance), `model.keras` (the best weights),
`metrics.jsonl` (a line for each validation) and `tensorboard/` (the same figures, and
a few composed bars as picture and sound). Of several workers only the chief records.
"""

import errno
import json
import os

import tensorflow as tf

from poph_tf import provenance
from poph_tf.cli.progress import duration
from poph_tf.config import ModelConfig
from poph_tf.errors import InputError
from poph_tf.models import polyphony_model
from poph_tf.training import event_log, memory

METRICS_FILE = "metrics.jsonl"
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# Settings of training that decide what the numbers in a checkpoint mean: the place in
# the data, the variables of the optimizer, the best validation.
FIXED = (
    "optimizer",
    "schedule",
    "warmup_steps",
    "ema_decay",
    "batch_size",
    "window_steps",
    "min_transpose",
    "max_transpose",
    "shuffle_windows",
    "max_valid_pieces",
    "seed",
)


class Recorder:
    """Writes the files of a run.

    Args:
        model_dir: str.
        chief: bool. Whether this process writes at all.
        scored: PolyphonyModel whose weights are saved and heard.
        preview_bars: int. Bars to compose at each validation; 0 for none.
    """

    def __init__(self, model_dir, chief, scored, preview_bars=0):
        self.model_dir = model_dir
        self.chief = chief
        self.scored = scored
        self.preview_bars = preview_bars
        self.events = self.previews = None

    def begin(self, settings, step):
        """Writes the settings; forgets validations after `step`, which come again."""
        if not self.chief:
            return
        try:
            os.makedirs(self.model_dir, exist_ok=True)
            self._sweep()
            path = os.path.join(self.model_dir, polyphony_model.SETTINGS_FILE)
            provenance.write_json(path, settings)
            self._forget_after(step)
            folder = os.path.join(self.model_dir, "tensorboard")
            event_log.forget_after(folder, step)
            self.events = event_log.EventLog(folder, step + 1)
        except (OSError, tf.errors.OpError) as error:
            raise _cannot_write(self.model_dir, error) from error

    def _forget_after(self, step):
        path = os.path.join(self.model_dir, METRICS_FILE)
        if not os.path.exists(path):
            return
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = [line.strip() for line in file if _step_of(line) <= step]
        with open(f"{path}.writing", "w", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in lines)
        os.replace(f"{path}.writing", path)

    def validation(self, figures):
        """Records a validation: figures, the weights if best, a preview.

        Args:
            figures: JSON-ready dict with `step`, `train`, `valid`, `best`,
                `learning_rate`, `steps_per_second`, `input_wait_share`; `memory_mb`
                (resident) is added.

        Raises:
            InputError: If it cannot be written; a model saved before is still there.
        """
        if not self.chief:
            return
        figures = figures | {"memory_mb": memory.resident_mb()}
        try:
            if figures["best"]:
                polyphony_model.save(self.scored, self.model_dir)
            path = os.path.join(self.model_dir, METRICS_FILE)
            with open(path, "a", encoding="utf-8") as file:
                file.write(json.dumps(figures, sort_keys=True) + "\n")
            self.events.scalars(_scalars(figures), figures["step"])
            self._preview(figures["step"])
        except (OSError, tf.errors.OpError) as error:
            self._sweep()
            raise _cannot_write(self.model_dir, error) from error

    def _sweep(self):
        """Removes the half of a model that a full disk or a kill left."""
        partial = os.path.join(
            self.model_dir, f".writing-{polyphony_model.WEIGHTS_FILE}"
        )
        if os.path.exists(partial):
            os.remove(partial)

    def _preview(self, step):
        if not self.preview_bars:
            return
        # Drawing and playing bring libraries that training can do without.
        from poph_tf.training import previews

        if not self.previews:
            self.previews = previews.Previews(self.scored, self.preview_bars)
        piece = self.previews.compose()
        png, wav = previews.picture(piece, f"step {step}"), previews.sound(piece)
        if png:
            self.events.picture("composed/picture", png, step)
        if wav:
            self.events.sound("composed/sound", wav, step)


def _scalars(figures):
    scalars = {f"train/{k}": v for k, v in figures["train"].items()}
    scalars |= {f"valid/{k}": v for k, v in figures["valid"].items()}
    for name in ("learning_rate", "steps_per_second", "input_wait_share", "memory_mb"):
        scalars[name] = figures[name]
    return scalars


def _step_of(line):
    """The step of a line of metrics; beyond all steps for half a line."""
    try:
        return json.loads(line)["step"]
    except (ValueError, KeyError, TypeError):
        return float("inf")


def _cannot_write(directory, error):
    reason = str(error).splitlines()[0][:200]
    full = not isinstance(error, OSError) or error.errno in NO_ROOM
    remedy = "Make room" if full else "Mend that, or give another --model_dir,"
    return InputError(
        f"Cannot write in {directory} ({reason}). {remedy} and start the same command "
        f"again: it goes on from the last checkpoint."
    )


def progress_line(figures, seconds_left):
    """One line of text about a validation."""
    train, valid = figures["train"], figures["valid"]
    parts = [f"epoch {figures['epoch']:3d}  step {figures['step']:6d}"]
    if train:
        parts.append(f"train {train['play_nats_per_step']:7.3f}")
    parts.append(f"valid {valid['play_nats_per_step']:7.3f} nats/step")
    parts.append(f"F1 {valid['play_f1']:.3f}")
    parts.append(f"{figures['steps_per_second']:.2f} steps/s")
    parts.append(f"{duration(seconds_left)} left at most")
    return "  ".join(parts) + ("  best" if figures["best"] else "")


def slices_of(model_dir):
    """The slices of the run that a directory holds, or None if there is no run."""
    if not os.path.exists(os.path.join(model_dir, polyphony_model.SETTINGS_FILE)):
        return None
    # A run of an earlier version was not cut.
    return polyphony_model.read_settings(model_dir).get("slices", 1)


def check_same_run(model_dir, model_config, training=None, data_id=None, fixed=FIXED):
    """Raises InputError if the directory holds another run than the one asked for.

    Args:
        model_dir: str.
        model_config: ModelConfig.
        training: TrainingConfig, or None to leave it unchecked.
        data_id: str, or None to leave it unchecked.
        fixed: names of the settings of training that must be the same.
    """
    if not os.path.exists(os.path.join(model_dir, polyphony_model.SETTINGS_FILE)):
        return
    settings = polyphony_model.read_settings(model_dir)
    there = ModelConfig.from_dict(settings["model"]).to_dict()
    wanted = model_config.to_dict()
    if training:
        there |= {k: settings["training"].get(k) for k in fixed}
        wanted |= {k: getattr(training, k) for k in fixed}
    if data_id:
        there["data"], wanted["data"] = settings["data"]["id"][:12], data_id[:12]
    other = [name for name in wanted if wanted[name] != there[name]]
    if other:
        raise InputError(
            f"{model_dir} holds a run with {_pairs(there, other)}, asked for are "
            f"{_pairs(wanted, other)}; give the same settings, or another --model_dir "
            f"(with --init_from={model_dir} it starts from these weights)."
        )


def _pairs(values, names):
    return ", ".join(f"{name}={values[name]}" for name in names)
