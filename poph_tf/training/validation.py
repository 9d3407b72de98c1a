"""Validation: scores pieces with a copy of the weights that are being trained."""

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import tensorflow as tf

from poph_tf import models
from poph_tf.config import ModelConfig, TrainingConfig
from poph_tf.data import dataset
from poph_tf.errors import InputError
from poph_tf.evaluation import likelihood
from poph_tf.models import metrics
from poph_tf.training.cluster import Cluster


@dataclasses.dataclass(eq=False)
class Validator:
    """Scores the validation split.

    Scoring runs one copy of the weights, in float32, outside the strategy.

    Args:
        model_config: the model to score.
        training: the settings of the run.
        paths: shards of the validation split.
        cluster: the workers, which share the pieces.
        slices: number of slices of a batch.

    Attributes:
        model: the copy; it holds the weights scored last.
    """

    model_config: ModelConfig
    training: TrainingConfig
    paths: Sequence[str]
    cluster: Cluster
    slices: int

    def __post_init__(self) -> None:
        self.model = models.build(self.model_config)
        rows = max(self.training.batch_size, 8)
        # Windows are short because each batch is padded to whole ones.
        self.scorer = likelihood.Scorer(self.model, rows, 32, self.slices)

    def take(self, weights: Iterable[tf.Tensor]) -> None:
        """Assigns values of the model's trainable variables to the copy."""
        variables = self.model.trainable_variables
        for variable, weight in zip(variables, weights, strict=True):
            variable.assign(weight)

    def figures(
        self, weights: Iterable[tf.Tensor], report: Callable[[str], object]
    ) -> dict[str, Any]:
        """Scores the weights; returns the figures of `metrics.summarize`.

        Args:
            weights: values of the model's trainable variables.
            report: called with a line of text for each record that is skipped.

        Raises:
            InputError: If no piece can be read, or a record is damaged and not skipped.
        """
        self.take(weights)
        damaged: list[str] | None = [] if self.training.skip_corrupt else None
        pieces = dataset.read_pieces(
            self.paths, self.training.max_valid_pieces, damaged
        )
        place, stride = self.cluster.index, self.cluster.num_workers
        sums = self.scorer.sums(itertools.islice(pieces, place, None, stride))
        if not sums:
            # Fewer pieces than workers: the names of the sums are still needed.
            first = dataset.read_pieces(self.paths, 1, damaged)
            sums = dict.fromkeys(self.scorer.sums(first), 0.0)
        if not sums:
            raise InputError("The validation split has no piece that can be read.")
        for line in damaged or ():
            report(f"Skipped in the validation: {line}.")
        return metrics.summarize(self.cluster.add(sums), self.model.config)
