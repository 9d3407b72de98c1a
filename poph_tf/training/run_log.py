"""The files of a training run, apart from its checkpoints.

`config.json` (all settings and provenance), `model.keras` (the best weights),
`metrics.jsonl` (a line for each validation) and `tensorboard/` (the same figures, and a
few composed bars as picture and sound). In a run of several workers only the chief
writes them.
"""

import contextlib
import dataclasses
import errno
import pathlib
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import psutil
import tensorflow as tf

from poph_tf import files, models
from poph_tf.cli.progress import duration
from poph_tf.config import ModelConfig, TrainingConfig
from poph_tf.config.declaration import current_names
from poph_tf.errors import InputError
from poph_tf.training import metrics_file
from poph_tf.training.events import EventWriter

DISK_IS_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# Training settings that determine what the numbers in a checkpoint mean: the place in
# the data, the variables of the optimizer, the best validation.
FIXED = (
    "optimizer", "schedule", "warmup_steps", "ema_decay", "batch_size", "window_steps",
    "min_transpose", "max_transpose", "shuffle_windows", "max_valid_pieces", "seed",
)  # fmt: skip


@dataclasses.dataclass(eq=False)
class RunLog:
    """Writes the files of a run.

    Args:
        model_dir: the model directory.
        model: the model that is validated, saved and previewed.
        preview_bars: bars to compose at each validation; 0 for none.
    """

    model_dir: pathlib.Path
    model: models.PolyphonyModel
    preview_bars: int = 0
    previews: Any = dataclasses.field(default=None, init=False)

    def begin(self, settings: Mapping[str, Any], step: int) -> None:
        """Writes the settings, and forgets validations after `step`.

        Raises:
            InputError: If the files cannot be written.
        """
        with self._writing():
            self.model_dir.mkdir(parents=True, exist_ok=True)
            # Files that a killed process left half-written.
            for path in self.model_dir.glob(f".*{files.PARTIAL}*"):
                path.unlink()
            files.write_json(self.model_dir / models.SETTINGS_FILE, settings)
            metrics_file.forget_after(self.model_dir, step)
            self.events = EventWriter(self.model_dir / "tensorboard", step + 1)

    def validation(self, figures: Mapping[str, Any]) -> None:
        """Writes the figures of a validation, a preview, and the weights if best.

        Args:
            figures: `step`, `train`, `valid`, `best`, `learning_rate`,
                `steps_per_second`, `input_wait_share` and other JSON values;
                `memory_mb` (resident, in 2**20 bytes) is added.

        Raises:
            InputError: If the files cannot be written; `model.keras` is still intact.
        """
        memory_mb = psutil.Process().memory_info().rss / 2**20
        figures = {**figures, "memory_mb": memory_mb}
        if figures["best"]:
            self.weights()
        with self._writing():
            metrics_file.append(self.model_dir, figures)
            self.events.scalars(_scalars(figures), figures["step"])
            if self.preview_bars:
                self._preview(figures["step"])
            self.events.writer.flush()

    def weights(self) -> None:
        """Writes the weights.

        Raises:
            InputError: If they cannot be written; `model.keras` is still intact.
        """
        with self._writing():
            models.save(self.model, str(self.model_dir))

    def _preview(self, step: int) -> None:
        # Drawing and playing import libraries that training does not need.
        from poph_tf.training import previews

        if not self.previews:
            self.previews = previews.Previews(self.model, self.preview_bars)
        piece = self.previews.compose()
        # Without matplotlib there is no picture, without tinysoundfont no sound.
        with contextlib.suppress(InputError):
            png = previews.picture(piece, f"step {step}")
            self.events.picture("composed/picture", png, step)
        with contextlib.suppress(InputError):
            self.events.sound("composed/sound", previews.sound(piece), step)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """Explains what a user can do if a file cannot be written."""
        try:
            yield
        except (OSError, tf.errors.OpError) as error:
            reason = str(error).splitlines()[0][:200]
            remedy = "Make room"
            if isinstance(error, OSError) and error.errno not in DISK_IS_FULL:
                remedy = "Make the folder writable, or give another --model_dir,"
            raise InputError(
                f"Cannot write in {self.model_dir} ({reason}). {remedy} and start the "
                f"same command again: it continues from the last checkpoint."
            ) from error


def _scalars(figures: Mapping[str, Any]) -> dict[str, float | None]:
    names = ("learning_rate", "steps_per_second", "input_wait_share", "memory_mb")
    scalars = {name: figures[name] for name in names}
    for part in ("train", "valid"):
        for name, x in figures[part].items():
            # A figure by track has a value for each.
            parts = x.items() if isinstance(x, Mapping) else [("", x)]
            scalars |= {f"{part}/{name}/{k}".rstrip("/"): value for k, value in parts}
    return scalars


def progress_line(figures: Mapping[str, Any], seconds_left: float) -> str:
    """One line of text about a validation."""
    train, valid = figures["train"], figures["valid"]
    train_nats = f"train {train['play_nats_per_step']:7.3f}  " if train else ""
    return (
        f"epoch {figures['epoch']:3d}  step {figures['step']:6d}  {train_nats}"
        f"valid {valid['play_nats_per_step']:7.3f} nats/step  F1 {valid['play_f1']:.3f}"
        f"  {figures['steps_per_second']:.2f} steps/s  {duration(seconds_left)} left "
        f"at most{'  best' if figures['best'] else ''}"
    )


def stored_settings(model_dir: str | pathlib.Path) -> dict[str, Any] | None:
    """The settings of a directory's run, from `config.json`; None without a run."""
    if not (pathlib.Path(model_dir) / models.SETTINGS_FILE).exists():
        return None
    return models.read_settings(str(model_dir))


def slices_of(model_dir: str | pathlib.Path) -> int | None:
    """The slices of a batch in a directory's run; None without a run."""
    settings = stored_settings(model_dir)
    # Earlier versions did not slice batches.
    return settings.get("slices", 1) if settings else None


def check_same_run(
    model_dir: str | pathlib.Path,
    model_config: ModelConfig,
    training: TrainingConfig | None = None,
    data_id: str | None = None,
    fixed: Collection[str] = FIXED,
) -> None:
    """Raises InputError if the directory holds a different run than requested.

    Args:
        model_dir: the model directory.
        model_config: the requested model.
        training: the requested training settings; None: not checked.
        data_id: id of the data set; None: not checked.
        fixed: names of the training settings that must be the same.
    """
    settings = stored_settings(model_dir)
    if not settings:
        return
    stored = ModelConfig.from_dict(settings["model"]).to_dict()
    wanted = model_config.to_dict()
    if training:
        begun = current_names(TrainingConfig, settings["training"], warn=False)
        stored |= {name: begun.get(name) for name in fixed}
        wanted |= {name: getattr(training, name) for name in fixed}
    if data_id:
        stored["data"], wanted["data"] = settings["data"]["id"][:12], data_id[:12]
    other = [name for name in wanted if wanted[name] != stored[name]]
    if other:
        raise InputError(
            f"{model_dir} holds a run with {pairs(stored, other)}, not the requested "
            f"{pairs(wanted, other)}; give the same settings, or another --model_dir "
            f"(with --init_from={model_dir} it starts from these weights)."
        )


def pairs(values: Mapping[str, Any], names: Collection[str]) -> str:
    """Settings as text: `name=value, ...`."""
    return ", ".join(f"{name}={values[name]}" for name in names)
