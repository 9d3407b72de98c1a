"""Every public name has an example; pytest runs the examples as doctests."""

import importlib
import inspect

import pytest

from poph_tf.models import losses


@pytest.mark.parametrize(
    "name", ["poph_tf", "poph_tf.data", "poph_tf.models", "poph_tf.models.layers"]
)
def test_every_name_of_a_package_has_one(name):
    package = importlib.import_module(name)
    for public in getattr(package, "__all__", ["load"]):
        if public != "GenerationConfig":  # the options of Composer, which has one
            assert ">>> " in getattr(package, public).__doc__, f"{name}.{public}"


def test_every_loss_has_one():
    own = [f for f in vars(losses).values() if inspect.isfunction(f)]
    assert len(own) >= 13
    assert [f.__name__ for f in own if ">>> " not in f.__doc__] == []
