"""The server's page in a real browser: compose, show, play, save, fail."""

import json
import time

import browser
import exported
import numpy as np
import pytest
import servers
from exported import call, compose_inputs

pytestmark = pytest.mark.skipif(
    browser.PATH is None, reason="Chromium is not installed"
)
MOST_BARS = exported.MAX_STEPS // exported.BAR_STEPS


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    profile = tmp_path_factory.mktemp("profile")
    url = f"{servers.shared().url}?model={exported.MODEL_NAME}"
    with browser.Page(url, profile) as opened:
        opened.wait("!document.getElementById('compose').disabled")
        yield opened


def fill(page, **values):
    for name, value in values.items():
        page.evaluate(f"document.getElementById('{name}').value = {json.dumps(value)}")


def status(page):
    return page.evaluate("document.getElementById('status').textContent")


def compose(page, **values):
    """Fills in the form, submits it and waits for the status."""
    fill(page, **values)
    page.evaluate("document.getElementById('status').textContent = ''")
    page.click("#compose")
    page.wait("!document.getElementById('compose').disabled")
    page.wait(
        "!['', 'Composing…'].includes(document.getElementById('status').textContent)"
    )


def test_page_shows_the_model_and_its_limits(page):
    assert exported.MODEL_NAME in page.evaluate(
        "document.getElementById('about').textContent"
    )
    assert page.evaluate("document.getElementById('bars').max") == str(MOST_BARS)
    names = page.evaluate(
        "[...document.querySelectorAll('#styles label')].map(l => l.firstChild.data)"
    )
    assert names == list(exported.STYLES)
    shares = page.evaluate(
        "[...document.querySelectorAll('#styles output')].map(o => o.textContent)"
    )
    assert shares == ["75 %", "25 %"]


def test_piece_equals_the_saved_models_and_is_drawn_and_saved(page, tmp_path):
    compose(page, bars=2, temperature=1, tempo=120, seed=7)
    assert status(page).startswith("Composed in ")
    inputs = compose_inputs(1, 32) | {"tempo_qpm": np.array([120], np.float32)}
    # The sliders round the shares: 100 to 33.
    shares = page.evaluate("styleShares()")
    inputs["style"] = np.array([shares], np.float32)
    wanted = call("compose_midi", inputs)["midi_bytes"][0]
    assert save(page, tmp_path) == ("poph-7.mid", wanted)
    notes = page.evaluate("cards[0].piece.notes")
    assert sorted(notes) == sorted(notes_of(call("compose", compose_inputs(1, 32) | {
        "style": inputs["style"]
    })))  # fmt: skip
    ink = page.evaluate(
        "(() => { const c = document.querySelector('canvas.roll');"
        "const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
        "const seen = new Set(); for (let k = 0; k < d.length; k += 4)"
        "seen.add(d[k] << 16 | d[k + 1] << 8 | d[k + 2]); return seen.size; })()"
    )
    assert ink > 10
    page.screenshot(tmp_path / "page.png")


def save(page, folder):
    """Clicks "Save MIDI"; returns the name and the bytes of the file."""
    page.send("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))
    page.click("a.save")
    for _ in range(600):
        files = [path for path in folder.iterdir() if path.suffix == ".mid"]
        if files and files[0].stat().st_size:
            return files[0].name, files[0].read_bytes()
        time.sleep(0.05)
    raise TimeoutError("Nothing was saved.")


def notes_of(outputs):
    """[start, end, pitch, velocity] of the notes of a composed piece."""
    from poph_tf.data import matrices

    cells = exported.roll_of(outputs)[0]
    low = exported.model().config.min_pitch
    spans = matrices.spans(cells)
    return [[s, e, p + low, v] for s, e, p, v in zip(*map(list, spans), strict=True)]


def test_piece_plays_and_pauses(page):
    compose(page, bars=1)
    page.click("#pieces article button")
    page.wait("cards[0].player.playing && cards[0].player.time() > 0.1")
    page.click("#pieces article button")
    page.wait("!cards[0].player.playing")
    page.click("canvas.whole", x=0.5)
    assert page.evaluate("cards[0].player.time() > 0.5")


def test_each_seed_has_its_own_piece_each_time(page):
    files = []
    for seed in (1, 2, 1):
        compose(page, bars=1, seed=seed)
        files.append(page.evaluate("JSON.stringify(cards[0].piece.notes)"))
    assert files[0] == files[2] != files[1]


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("bars", 0, f"Bars must be a whole number from 1 to {MOST_BARS}."),
        ("bars", 99, f"Bars must be a whole number from 1 to {MOST_BARS}."),
        ("bars", 1.5, f"Bars must be a whole number from 1 to {MOST_BARS}."),
        ("temperature", -1, "Temperature must be a number from 0 to 10."),
        ("temperature", "", "Temperature must be a number from 0 to 10."),
        ("tempo", 5, "Tempo must be a number from 10 to 1000."),
        ("seed", 2**31, "Seed must be a whole number from -2147483648 to 2147483647."),
    ],
)
def test_form_says_what_is_wrong_with_a_number(page, field, value, message):
    before = page.evaluate(f"document.getElementById('{field}').value")
    compose(page, **{field: value})
    assert status(page) == message
    invalid = page.evaluate("document.activeElement.getAttribute('aria-invalid')")
    assert invalid == "true"
    fill(page, **{field: before})


def test_styles_without_shares_are_refused(page):
    sliders = "document.querySelectorAll('input.style')"
    page.evaluate(f"{sliders}.forEach(s => {{ s.value = 0; }})")
    compose(page)
    assert status(page) == "Give at least one style a share."
    page.evaluate(f"{sliders}.forEach(s => {{ s.value = 50; }})")


def test_the_servers_reason_reaches_the_user(page):
    page.evaluate("document.getElementById('bars').max = 1000")
    compose(page, bars=100)
    assert status(page) == "num_steps must be 1 to 64, got [1600]."
    page.evaluate(f"document.getElementById('bars').max = {MOST_BARS}")
    fill(page, bars=1)


def test_tf_servings_longer_message_is_cut_to_the_reason(page):
    long = (
        "Graph execution error:\\nassertion failed: [num_steps must be 1 to 64, got] "
        "[65]\\n\\t [[{{node Assert_2}}]]"
    )
    assert page.evaluate(f'reason(400, "{long}")') == (
        "num_steps must be 1 to 64, got [65]"
    )


def test_page_requests_nothing_from_other_hosts(page):
    compose(page, bars=1)
    urls = [e["request"]["url"] for e in page.seen("Network.requestWillBeSent")]
    own = (servers.shared().url, "data:", "blob:")
    assert [url for url in urls if not url.startswith(own)] == []


def test_the_page_throws_no_exception(page):
    assert page.seen("Runtime.exceptionThrown") == []


def test_page_says_that_the_server_is_gone(tmp_path):
    with (
        servers.Server() as server,
        browser.Page(
            f"{server.url}?model={exported.MODEL_NAME}", tmp_path / "profile"
        ) as page,
    ):
        page.wait("!document.getElementById('compose').disabled")
        server.stop()
        compose(page, bars=1)
        assert status(page) == "The server does not answer; is it running?"
