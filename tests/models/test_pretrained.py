"""Models that come with the package: named, listed, loaded; each one composes."""

import json
import pathlib

import keras
import numpy as np
import pytest
import small

import poph_tf
from poph_tf import config, models
from poph_tf.errors import InputError
from poph_tf.evaluation import model_cards
from poph_tf.generation import composer as composer_lib
from poph_tf.models import pretrained


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    """A folder of two pretrained models, as the package has them."""
    root = tmp_path_factory.mktemp("pretrained")
    keras.utils.set_random_seed(3)
    made = models.build(
        config.preset("biaxial", **small.SIZES, style_units=2, **small.STYLES)
    )
    for name in ("aria", "chorales"):
        folder = root / name
        folder.mkdir()
        models.save(made, str(folder))
        settings = {"model": made.config.to_dict()}
        (folder / "config.json").write_text(json.dumps(settings))
        card = {"description": f"The {name}.", "licence": "CC0", "data": "none"}
        (folder / "card.json").write_text(json.dumps(card))
    (root / "__init__.py").write_text("")
    (root / "unfinished").mkdir()
    return root


@pytest.fixture
def on_the_shelf(shelf, monkeypatch):
    monkeypatch.setattr(pretrained, "ROOT", shelf)
    return shelf


def test_the_default_is_listed_first_with_description_styles_and_licence(on_the_shelf):
    assert pretrained.names() == ("chorales", "aria")
    first, second = pretrained.table().split("\n\n")
    assert first.startswith("chorales, the default: The chorales.\n")
    assert "styles:  bach, palestrina" in first and "licence: CC0" in first
    assert second.startswith("aria: The aria.\n") and " MB" in second


@pytest.mark.parametrize("name", pretrained.names())
def test_the_manual_has_the_likelihood_of_the_card(name):
    test = pretrained.card(name)["figures"]["test"]
    figures = ("play", "replay", "marginal_play")
    wanted = [f"{test[f'{figure}_nats_per_step']:.2f}" for figure in figures]
    page = pathlib.Path(__file__).parents[2] / "docs/results/likelihood.md"
    (row,) = (
        line for line in page.read_text().splitlines() if line.startswith(f"| `{name}`")
    )
    assert [cell.strip() for cell in row.split("|")[2:-1]] == wanted


def test_a_name_is_a_directory_first_then_a_pretrained_model(
    on_the_shelf, tmp_path, monkeypatch
):
    assert pretrained.resolve("aria") == on_the_shelf / "aria"
    assert models.load("aria").config.preset == "biaxial"
    assert models.read_settings("aria")["model"]["styles"] == [
        "bach",
        "palestrina",
    ]
    monkeypatch.chdir(tmp_path)
    for name in ("aria", "bach"):
        (tmp_path / name).mkdir()  # a folder of music, for example
    assert pretrained.resolve("aria") == on_the_shelf / "aria"
    assert pretrained.resolve_style("bach") == (on_the_shelf / "chorales", "bach")
    assert pretrained.resolve_style("Bach") == (on_the_shelf / "chorales", "Bach")
    for name in ("aria", "bach"):
        (tmp_path / name / "model.keras").write_bytes(b"")
        assert pretrained.resolve(name) == pathlib.Path(name)
        assert pretrained.resolve_style(name) == (pathlib.Path(name), "")


def test_an_unknown_name_is_refused_with_the_known_ones(on_the_shelf):
    words = "no model directory 'sonata'.*pretrained models: chorales, aria"
    for load in (models.load, poph_tf.load):
        with pytest.raises(InputError, match=words):
            load("sonata")
    with pytest.raises(InputError, match="no pretrained model 'sonata'"):
        pretrained.chosen(pretrained="sonata")
    with pytest.raises(InputError, match="not both"):
        pretrained.chosen("aria", "chorales")


def test_without_a_name_the_default_is_used_if_there_is_one(
    on_the_shelf, tmp_path, monkeypatch
):
    assert pretrained.chosen() == on_the_shelf / "chorales"
    assert pretrained.chosen(pretrained="aria") == on_the_shelf / "aria"
    monkeypatch.setattr(pretrained, "ROOT", tmp_path)
    assert pretrained.table() == "This installation has no pretrained model."
    with pytest.raises(InputError, match="give --model_dir"):
        pretrained.chosen()


def test_a_style_loads_the_model_that_knows_it_and_composes_in_it(on_the_shelf):
    composer = poph_tf.load("palestrina")
    assert composer.style == "palestrina"
    for options, expected in [({}, [0.0, 1.0]), ({"style": "bach"}, [1.0, 0.0])]:
        (style,) = composer.resolve("compose", options).styles
        np.testing.assert_array_equal(style, expected)
    assert poph_tf.load().style == ""


@pytest.mark.parametrize("name", pretrained.names())
def test_each_model_of_the_package_composes_and_has_a_card(name):
    card = pretrained.card(name)
    model_cards.check(card)
    assert card["figures"]["test"]["play_nats_per_step"] > 0
    text = (pretrained.path_of(name) / "card.md").read_text("utf-8")
    assert text == model_cards.render(name, card, models.read_settings(name))
    composer = composer_lib.load(name)
    assert set(pretrained.styles_of(name)) == set(composer.styles)
    assert len(composer.compose(num_bars=1, seed=1).matrices) == 16
