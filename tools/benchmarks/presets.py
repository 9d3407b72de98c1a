"""The networks to serve: pretrained models, or presets with random weights."""

import pathlib

from benchmarks.train import settings
from poph_tf.models import pretrained


def converted(name: str, folder: pathlib.Path) -> pathlib.Path:
    """The folder of a pretrained model, or of a preset converted below `folder`."""
    if own := pretrained.path_of(name):
        return own
    # Imported late, so that measuring pretrained models needs no TensorFlow here.
    from poph_tf import models
    from poph_tf.serving import litert

    (folder / "model").mkdir()
    models.save(models.build(settings(name)), folder / "model")
    (folder / "model" / models.SETTINGS_FILE).write_text("{}")
    return litert.export(folder / "model", folder / "light")
