"""The demo, which composes in the browser, compared with Python."""

import functools
import http.server
import pathlib
import shutil
import sys
import threading
import types

import numpy as np
import pytest
from chord_progressions import PROGRESSIONS
from studio_page import (
    MELODY,
    chromium,
    compose,
    draw,
    expect,
    needs_chromium,
    notes,
    save,
    score,
    studio,
)

from poph_tf import named_chords, theory
from poph_tf.config import GenerationConfig
from poph_tf.data import midi
from poph_tf.data.matrices import Matrices
from poph_tf.generation.light_engine import LightEngine
from poph_tf.models import pretrained
from poph_tf.serving.api import scores

pytestmark = needs_chromium
__all__ = ["chromium"]  # fixtures
DOCS = pathlib.Path(__file__).resolve().parents[2] / "docs"
sys.path.append(str(DOCS))

import demo_files  # noqa: E402


class Files(http.server.SimpleHTTPRequestHandler):
    """Serves a folder, as any server of static files does."""

    def log_message(self, *args):
        """Logs nothing."""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    shutil.copytree(DOCS / "demo", folder / "demo")
    for name, content in demo_files.files():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    handler = functools.partial(Files, directory=folder)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/demo/"
    yield types.SimpleNamespace(url=address)
    server.shutdown()


@pytest.fixture(scope="module")
def engine():
    return LightEngine(pretrained.ROOT / demo_files.MODEL)


@pytest.fixture(scope="module")
def opened(chromium, site):
    # One page for all tests: the browser compiles the runtime for each page.
    with studio(chromium, site) as page:
        page.uncheck("#set-listen")
        page.uncheck("#set-fresh")
        yield page


@pytest.fixture
def page(opened):
    for name, value in (
        ("seed", "0"),
        ("bars", "1"),
        ("temperature", "1"),
        ("chords", ""),
    ):
        opened.fill(f"#set-{name}", value)
    opened.select_option("#set-key", "")
    opened.check("#set-ending")
    opened.click("#new")
    return opened


def composed(engine, music=None, **settings):
    """The score that Python composes with the settings of the page."""
    source = scores.to_notes(scores.Score(**music)) if music else None
    settings = {"num_pieces": 1, "num_bars": 1, "music": source} | settings
    (piece,) = engine.compose(GenerationConfig(**settings))
    return scores.of_matrices(piece)


def test_the_first_click_sounds_before_the_network_is_there(chromium, site):
    context = chromium.new_context()
    page = context.new_page()
    page.route("**/worker.js", lambda route: route.abort())
    page.goto(site.url)
    expect(page.locator("#model option").first).to_be_attached()
    page.click("#do-compose")
    expect(page.locator("#play")).to_have_text("Pause")
    expect(page.locator("#status")).to_have_text("Composing: bar 1.")
    context.close()


def test_composes_and_continues_note_for_note_as_python(page, engine, tmp_path):
    compose(page, "compose")
    first = score(page)
    python = engine.compose(GenerationConfig(num_pieces=1, num_bars=1, seed=0))
    assert notes(first) == notes(scores.of_matrices(python[0]))
    told = theory.written_key(python[0].key)
    expect(page.locator("#status")).to_contain_text(f", in {told}.")
    page.fill("#set-bars", "2")
    page.fill("#set-chords", "D7, Ebm")
    compose(page, "continue")
    second = score(page)
    settings = {"task": "continue", "num_bars": 2, "chords": "D7 Ebm"}
    assert notes(second) == notes(composed(engine, first, **settings))
    assert second["num_steps"] == 48
    read = midi.read(save(page, "mid", tmp_path))
    assert len(read.notes) == len(second["notes"])


def test_composes_over_chords_in_their_key_as_python(page, engine):
    page.fill("#set-chords", "C | G/B, A-")
    compose(page, "compose")
    settings = {"num_pieces": 1, "num_bars": 1, "seed": 0, "chords": "C G Am"}
    (piece,) = engine.compose(GenerationConfig(**settings))
    assert notes(score(page)) == notes(scores.of_matrices(piece))
    expect(page.locator("#status")).to_contain_text(", in C major.")


def test_chords_are_in_the_key_that_python_finds(page):
    found = page.evaluate(
        """async ([progressions, network]) => {
          const { keyOf } = await import("./page/key.js");
          return progressions.map(([chords]) => keyOf({}, { chords }, 0, network));
        }""",
        [PROGRESSIONS, {"tonics": theory.TONICS, "chord_kinds": named_chords.KINDS}],
    )
    assert found == [named_chords.key_of_chords(chords) for chords, _ in PROGRESSIONS]


def test_the_key_of_given_music_is_the_one_that_python_finds(page, engine):
    # D F# A E is D major, unless E is the last note: then it is A major.
    places = enumerate((62, 66, 69, 64) * 2)
    melody = [
        {"track": 0, "pitch": p, "start": 4 * k, "duration": 4} for k, p in places
    ]
    names = [track.name for track in engine.config.tracks]
    music = {"num_steps": 32, "notes": melody, "metre": "4/4"}
    music |= {"pickup": 0, "steps_per_quarter": 4}
    music["tracks"] = [{"name": name} for name in names]
    tasks = [
        {"task": "infill", "bars": "2"},
        {"task": "infill", "bars": "1"},
        {"task": "continue", "num_bars": 1},
        {"task": "harmonize", "given": ("soprano",)},
    ]
    source = scores.to_notes(scores.Score(**music))
    expected = [
        int(
            GenerationConfig(music=source, **each)
            .resolve(engine.config)
            .controls.key[0]
        )
        for each in tasks
    ]
    assert expected == [2, 9, 2, 9]
    low, count = engine.config.min_pitch, engine.config.num_pitches
    network = {"min_pitch": low, "num_pitches": count, "tracks": music["tracks"]}
    found = page.evaluate(
        """async ([tasks, music, network]) => {
          const { keyOf } = await import("./page/key.js");
          const { task } = await import("./page/task.js");
          return tasks.map((body) => {
            const whole = { ...body, music };
            return keyOf(task(body.task, whole, network), whole, 0, network);
          });
        }""",
        [tasks, music, network],
    )
    assert found == expected


def test_bars_left_are_counted_as_in_python(page):
    # A pickup, a bar, and a last bar that lacks as much as the pickup.
    positions = [12, 13, 14, 15, *range(16), *range(12)]
    cells = np.zeros((len(positions), 128, 3), np.uint8)
    piece = Matrices(cells, np.array(positions, np.uint8))
    found = page.evaluate(
        """async (positions) => {
          const { barsLeft } = await import("./page/task.js");
          return [...barsLeft(new Int32Array(positions))];
        }""",
        positions,
    )
    assert found == piece.bars_left.tolist() == [2] * 4 + [1] * 16 + [0] * 12


def test_harmonizes_and_varies_note_for_note_as_python(page, engine):
    draw(page)
    melody = score(page)
    assert notes(melody) == [(0, step, pitch, 4) for step, pitch in MELODY]
    page.select_option("#set-key", "G major")
    compose(page, "harmonize")
    first = score(page)
    settings = {"task": "harmonize", "given": ("soprano",), "key": "G major"}
    assert notes(first) == notes(composed(engine, melody, **settings))
    page.get_by_label("Lock bass: it is held when the composer draws").click()
    page.get_by_label("Lock soprano: it is held when the composer draws").click()
    page.fill("#set-temperature", "1.3")
    page.uncheck("#set-ending")
    compose(page, "vary")
    settings = {"task": "vary", "draw": ("alto", "tenor"), "key": "G major"}
    settings |= {"temperature": 1.3, "ending": False}
    assert notes(score(page)) == notes(composed(engine, first, **settings))


def test_what_needs_a_server_is_told_and_composing_is_cancelled(page):
    status = page.locator("#status")
    page.click("#tab-score")
    expect(status).to_contain_text("needs the server")
    page.click("#tab-roll")
    page.fill("#set-chords", "H")
    page.click("#do-compose")
    expect(status).to_contain_text("such as 'C G7 Am F', got 'H'")
    page.fill("#set-chords", "")
    page.fill("#set-bars", "64")
    page.click("#do-compose")
    expect(status).to_contain_text("Composing: bar 1")
    page.click("#cancel")
    expect(status).to_have_text("Cancelled.")
    assert notes(score(page)) == []
    # The worker is free again.
    page.fill("#set-bars", "1")
    compose(page, "compose")


def test_midi_files_are_read_as_python_reads_them(page, tmp_path):
    draw(page)
    path = save(page, "mid", tmp_path)
    before = notes(score(page))
    page.click("#new")
    page.set_input_files("#file", path)
    expect(page.locator("#status")).to_contain_text("Opened music.mid: 4 notes")
    assert notes(score(page)) == before
    page.set_input_files(
        "#file", {"name": "no.mid", "mimeType": "audio/midi", "buffer": b"no"}
    )
    expect(page.locator("#status")).to_contain_text("no whole MIDI file")
