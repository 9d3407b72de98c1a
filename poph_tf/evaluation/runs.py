"""The training runs of experiments: what determines them, and their execution."""

import dataclasses
import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorflow as tf

from poph_tf.config import ModelConfig, TrainingConfig
from poph_tf.data import examples
from poph_tf.models import slices as slices_lib
from poph_tf.training.run_log import slices_of
from poph_tf.training.trainer import Trainer


@dataclasses.dataclass(frozen=True)
class Run:
    """The training of one network: equal runs have equal results.

    Attributes:
        name: the data and the network, for files and tables.
        data_dir: folder of records.
        model: the network.
        training: its training, the seed included.
    """

    name: tuple[str, str]
    data_dir: Path
    model: ModelConfig
    training: TrainingConfig

    def with_seed(self, seed: int) -> "Run":
        """The same run with another seed."""
        training = dataclasses.replace(self.training, seed=seed)
        return dataclasses.replace(self, training=training)

    def settings(self) -> dict[str, Any]:
        """The settings, ready for JSON."""
        return {"model": self.model.to_dict(), "training": self.training.to_dict()}

    def identity(self) -> dict[str, Any]:
        """What identifies a result: the settings and the id of the data."""
        data_id = examples.read_info(self.data_dir).id
        return {"settings": self.settings(), "data_id": data_id}


@dataclasses.dataclass(frozen=True)
class Runner:
    """Executes runs, each in its own directory.

    Attributes:
        work_dir: folder of all directories.
        slices: slices of a batch, see `models/slices.py`; a run that continues keeps
            its own. Each slice has its own dropout, so the same seed gives the same
            figures only with the same number of slices.
        report: called with lines of progress.
    """

    work_dir: Path
    slices: int = 1
    report: Callable[[str], object] = functools.partial(
        print, file=sys.stderr, flush=True
    )

    @classmethod
    def prepare(cls, work_dir: Path, batch_size: int, cores: int) -> "Runner":
        """Sets TensorFlow's threads so that `cores` share a batch."""
        return cls(work_dir, slices_lib.prepare(batch_size, cores))

    def directory(self, run: Run) -> Path:
        """The run's own directory."""
        return self.work_dir.joinpath(*run.name, f"seed-{run.training.seed}")

    def train(self, run: Run) -> Trainer:
        """Trains the network to the end, or continues a run that was stopped."""
        run_dir = self.directory(run)
        strategy = tf.distribute.get_strategy()
        slices = slices_of(run_dir) or self.slices
        trainer = Trainer(
            run.model, run.training, run.data_dir, run_dir, strategy, slices
        )
        trainer.run(report=self.report)
        return trainer
