"""The manual's table of licences, checked against files and installed packages."""

import ast
import functools
import importlib.metadata
import json
import pathlib
import re

import pytest

import poph_tf
from poph_tf.data.preparation import beat_network

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "reference" / "licences.md").read_text("utf-8")
SHIPPED = sorted(
    path
    for folder in (
        "poph_tf",
        "docs/demo",
        "docs/images",
        "docs/results/gallery",
        "tests/golden",
    )
    for path in (ROOT / folder).rglob("*")
    if path.is_file() and "__pycache__" not in path.parts
)
# Suffixes of files that only others would have made.
FOREIGN = {".ttf", ".otf", ".woff", ".woff2", ".sf2", ".sf3", ".ogg", ".mp3", ".wav"}
FOREIGN |= {".wasm", ".gzip", ".mid", ".mxl"}


def table(title):
    """Rows of the table whose first column has this title, as lists of cells."""
    lines = PAGE[PAGE.index(f"| {title} |") :].splitlines()[2:]
    end = next(number for number, line in enumerate(lines) if not line.startswith("|"))
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[:end]]


def patterns(row):
    return re.findall(r"`([^`]+)`", row[0])


@functools.cache
def matched(pattern):
    return set(SHIPPED).intersection(ROOT.glob(pattern))


def row_of(path):
    """The row for a file: of those that match, the one with the longest pattern."""
    fitting = [
        (len(pattern), row)
        for row in table("files")
        for pattern in patterns(row)
        if path in matched(pattern)
    ]
    return max(fitting, default=(0, None))[1]


def requirements():
    """Packages that setup.py installs, without those of `dev`, `gpu` and `beam`."""
    tree = ast.parse((ROOT / "setup.py").read_text("utf-8"))
    lists = {
        ast.unparse(node.targets[0]): ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.List)
    }
    keywords = (node for node in ast.walk(tree) if isinstance(node, ast.keyword))
    core = next(word.value for word in keywords if word.arg == "install_requires")
    wanted = [*ast.literal_eval(core), *sum(lists.values(), [])]
    return {re.match(r"[\w-]+", requirement)[0] for requirement in wanted}


def test_every_file_that_is_shipped_has_a_row():
    for path in SHIPPED:
        assert row_of(path), f"{path} has no row in docs/reference/licences.md."


def test_every_row_speaks_of_files():
    for row in table("files"):
        assert patterns(row)
        for pattern in patterns(row):
            assert matched(pattern), pattern


def made_by_others(path):
    """Whether it is a font, a sound, or a script that is minified or has a notice."""
    if path.suffix not in {".js", ".css", ".html"}:
        return path.suffix in FOREIGN
    text = path.read_text("utf-8")
    notice = re.search(r"copyright|@license|SPDX-", text, re.IGNORECASE)
    return bool(notice) or max(map(len, text.splitlines()), default=0) > 400


def test_what_others_made_is_named_by_its_path():
    for path in filter(made_by_others, SHIPPED):
        own = f"`{path.relative_to(ROOT)}`"
        assert own in row_of(path)[0], f"{path} needs a row of its own."


def test_minified_scripts_and_notices_are_seen(tmp_path):
    for name, text, foreign in (
        ("a.js", "x" * 401, True),
        ("b.js", "/*! @license MIT */\n", True),
        ("c.woff2", "", True),
        ("d.js", "let a = 1;\n", False),
    ):
        (tmp_path / name).write_text(text)
        assert made_by_others(tmp_path / name) == foreign


def test_the_cards_of_models_name_the_licence_of_the_table():
    for card in (ROOT / "poph_tf" / "pretrained").glob("*/card.json"):
        licence = json.loads(card.read_text("utf-8"))["licence"]
        assert licence.startswith(f"Weights: {row_of(card)[3]},")


def test_weights_that_learned_from_asap_are_said_to_be_non_commercial():
    card = beat_network.WEIGHTS.with_suffix(".md").read_text("utf-8")
    for text in (card, row_of(beat_network.WEIGHTS)[3]):
        assert "CC BY-NC-SA 4.0" in text
        assert "commercial use" in text


def test_composing_with_given_music_needs_no_weights_of_beats(monkeypatch, tmp_path):
    monkeypatch.setattr(beat_network, "WEIGHTS", tmp_path / "deleted.npz")
    monkeypatch.setattr(beat_network, "weights", lambda *_: pytest.fail("was read"))
    chorales = poph_tf.load("chorales")
    chorales.compose(num_bars=1, seed=1).save(tmp_path / "given.mid")
    more = chorales.continue_(tmp_path / "given.mid", num_bars=1, seed=2)
    assert more.matrices.play.any()


def test_the_table_lists_all_packages_that_are_installed_and_no_others():
    named = {row[0] for row in table("package")} - {"tinysoundfont"}
    assert named == requirements() | {"apache-beam"}


@pytest.mark.parametrize("row", table("package"), ids=lambda row: row[0])
def test_licences_of_packages_are_those_that_their_metadata_state(row):
    try:
        data = importlib.metadata.metadata(row[0])
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("not installed")
    fields = ("License", "License-Expression", "Classifier")
    texts = [text for field in fields for text in data.get_all(field) or []]
    stated = " ".join(t for t in texts if "::" not in t or t.startswith("License"))
    if not stated:
        files = importlib.metadata.files(row[0])
        stated = next(f for f in files if f.name == "LICENSE").read_text("utf-8")
    names = {
        "PSF": "Python Software Foundation",
        "LGPL": "Lesser General|LGPL",
        "MIT": "MIT|Permission is hereby granted, free of charge",
    }
    kind = re.match(r"[A-Z]+|Apache", row[2])[0]
    kind = "Apache" if row[2].startswith("Apache") else kind
    assert re.search(names.get(kind, kind), stated), stated
