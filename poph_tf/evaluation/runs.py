"""The training runs of experiments."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorflow as tf

from poph_tf.config import ModelConfig, TrainingConfig
from poph_tf.data import examples
from poph_tf.training.run_log import slices_of
from poph_tf.training.trainer import Trainer

Report = Callable[[str], object]


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
        """The same run from another seed."""
        training = dataclasses.replace(self.training, seed=seed)
        return dataclasses.replace(self, training=training)

    def directory(self, work_dir: Path) -> Path:
        """The run's own directory."""
        return work_dir.joinpath(*self.name, f"seed-{self.training.seed}")

    def settings(self) -> dict[str, Any]:
        """The settings, ready for JSON."""
        return {"model": self.model.to_dict(), "training": self.training.to_dict()}

    def identity(self) -> dict[str, Any]:
        """What a result keeps to be found again: settings and id of the data."""
        data_id = examples.read_info(self.data_dir).id
        return {"settings": self.settings(), "data_id": data_id}

    def train(
        self, run_dir: Path, slices: int = 1, report: Report = print
    ) -> tuple[Trainer, dict[str, Any]]:
        """Trains the network, or continues a run that was stopped.

        Args:
            run_dir: the run's own directory.
            slices: slices of a batch, from `models.slices.prepare`; a run that
                continues keeps its own.
            report: called with a line for each validation.

        Returns:
            The trainer, and what it says of the end of the run.
        """
        trainer = Trainer(
            self.model,
            self.training,
            self.data_dir,
            run_dir,
            tf.distribute.get_strategy(),
            slices_of(run_dir) or slices,
        )
        return trainer, trainer.run(report=report)
