"""Drives the studio's page in Chromium: fixtures and helpers for its tests."""

import contextlib
import pathlib

import browser
import pytest
import servers

from poph_tf.data import matrices

sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect
needs_chromium = pytest.mark.skipif(
    browser.PATH is None, reason="Chromium is not installed"
)
WEB = pathlib.Path(servers.__file__).parents[1] / "poph_tf" / "serving" / "web"
FLAGS = ["--no-sandbox", "--mute-audio", "--autoplay-policy=no-user-gesture-required"]
# Composing takes seconds on a busy machine.
TIMEOUT_MS = 60_000
expect.set_options(timeout=TIMEOUT_MS)
# The notes that tests draw: four quarters, as (step, MIDI pitch).
MELODY = [(0, 67), (4, 69), (8, 71), (12, 72)]
STEP_PIXELS, ROW_PIXELS, KEYS_PIXELS, TOP_PIXELS, HIGHEST = 9, 13, 46, 44, 108
SAVED = "JSON.parse(localStorage.getItem('poph-studio'))"


@pytest.fixture(scope="module")
def server():
    with servers.Server(model_dir="chorales") as running:
        yield running


@pytest.fixture(scope="module")
def chromium():
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=browser.PATH, args=FLAGS)
        yield opened
        opened.close()


@contextlib.contextmanager
def studio(chromium, server, *, path="", script="", size=(1280, 900), **options):
    """Opens the page in its own browser; fails on errors or calls to other hosts."""
    size = {"width": size[0], "height": size[1]}
    context = chromium.new_context(viewport=size, **options)
    context.set_default_timeout(TIMEOUT_MS)
    if script:
        context.add_init_script(script)
    page, wrong, asked = context.new_page(), [], []
    page.on("console", lambda line: line.type == "error" and wrong.append(line.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(server.url + path)
    expect(page.locator("#model option").first).to_be_attached()
    yield page
    # The browser also logs requests that the server rejects.
    assert [line for line in wrong if not line.startswith("Failed to load")] == []
    own = (server.url, "data:", "blob:")
    assert [url for url in asked if not url.startswith(own)] == []
    context.close()


@pytest.fixture
def page(chromium, server):
    with studio(chromium, server) as opened:
        opened.uncheck("#set-listen")
        opened.uncheck("#set-fresh")
        yield opened


def score(page):
    """Returns the score that the page has saved."""
    page.wait_for_timeout(400)  # longer than its delay before saving
    return page.evaluate(SAVED)["score"]


def notes(score, *, track=None):
    """Returns (track, start, pitch, duration) of the notes."""
    return sorted(
        (n["track"], n["start"], n["pitch"], n["duration"])
        for n in score["notes"]
        if track in (None, n["track"])
    )


def at(page, step, pitch):
    """Returns the position of a cell on the page."""
    box = page.locator("#canvas").bounding_box()
    left, top = page.evaluate(
        "[document.querySelector('#roll').scrollLeft,"
        " document.querySelector('#roll').scrollTop]"
    )
    x = box["x"] + KEYS_PIXELS + (step + 0.5) * STEP_PIXELS - left
    return x, box["y"] + TOP_PIXELS + (HIGHEST - pitch + 0.5) * ROW_PIXELS - top


def drag(page, start, stop):
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move(*stop, steps=4)
    page.mouse.up()


def draw(page, melody=MELODY):
    for step, pitch in melody:
        page.mouse.click(*at(page, step, pitch))


def compose(page, task):
    page.click(f"#do-{task}")
    expect(page.locator("#status")).to_contain_text("done in")


def save(page, ending, folder):
    page.select_option("#format", ending)
    with page.expect_download() as download:
        page.click("#save")
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return path


def read_notes(sequence):
    """Returns (start, pitch, duration) of a file's notes, in steps."""
    piece = matrices.from_sequence(sequence)
    spans = zip(*map(list, matrices.spans(piece.cells)), strict=True)
    return sorted((start, pitch, end - start) for start, end, pitch, _ in spans)
