"""What the gallery's pieces are made of."""

import re
from pathlib import Path

import numpy as np
import pytest

from poph_tf import config
from poph_tf.config import Track
from poph_tf.data import matrices, writing
from poph_tf.errors import InputError
from poph_tf.evaluation import results
from poph_tf.models import pretrained
from tools import make_gallery

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/results/gallery.md").read_text("utf-8")
SATB = [Track(name, 52, voice=True) for name in ("soprano", "alto", "tenor", "bass")]


def chorale(num_bars, *pitches):
    """Whole notes in four voices, each bar a tone higher than the one before."""
    stack = np.zeros((16 * num_bars, 4, 128, 3), np.uint8)
    for bar in range(num_bars):
        for voice, pitch in enumerate(pitches):
            stack[16 * bar : 16 * bar + 16, voice, pitch] = (1, 0, 64)
    bars = (np.arange(len(stack)) % 16).astype(np.uint8)
    return matrices.from_stack(stack, SATB, bars)


def test_the_page_has_a_place_for_each_kind():
    assert sorted(re.findall(r"<!-- gallery: (\S+) -->", PAGE)) == sorted(
        make_gallery.KINDS
    )
    assert PAGE.count("<!-- end -->") == len(make_gallery.KINDS)


def test_the_tasks_of_each_network_are_those_that_free_music_allows():
    tasks = {(model, own.get("task")) for model, own in make_gallery.KINDS.values()}
    every = (None, "continue", "harmonize", "infill")
    assert tasks == {
        *(("chorales", task) for task in (*every, "vary", "reharmonize")),
        *(("scores", task) for task in every),
        *(("pop909", task) for task in (None, "accompany")),
    }


@pytest.mark.parametrize("kind", make_gallery.KINDS)
def test_the_settings_of_each_kind_fit_its_network(kind):
    name, options = make_gallery.KINDS[kind]
    model = config.ModelConfig.from_dict(
        results.read(pretrained.resolve(name) / "config.json")["model"]
    )
    own = {"style": model.styles[0], **options}
    if "task" in options:
        own |= make_gallery.given(options["task"], chorale(9, 72, 67, 64, 48))
    request = config.GenerationConfig(**own, num_pieces=1).resolve(model)
    assert request.num_steps >= 4 * 16


def test_a_melody_is_given_alone():
    music = make_gallery.given("accompany", chorale(2, 72, 67, 64, 48))["music"]
    assert [track.name for track in music.tracks] == ["soprano"]
    assert np.flatnonzero(music.cells[..., 0].any(axis=0)).tolist() == [72]


@pytest.mark.parametrize(
    ("pitches", "key"),
    [((72, 67, 64, 48), "A minor"), ((69, 64, 60, 45), "C major")],
)
def test_the_relative_key_has_the_same_scale(pitches, key):
    assert make_gallery.relative_key(chorale(2, *pitches)) == key


def test_music_comes_from_the_data_of_the_network_only(tmp_path):
    pieces = [chorale(2, 72 + k, 67 + k, 64 + k, 48 + k) for k in range(3)]
    splits = dict(zip(("train", "valid", "test"), ([p] for p in pieces), strict=True))
    writing.write(splits, "bach", tmp_path / "data", SATB)
    with pytest.raises(InputError, match="not the data set on which chorales"):
        next(make_gallery.unseen(tmp_path / "data"))
