"""The pages as a viewer gets them: pieces that play and are drawn, and a blind test."""

import dataclasses
import json
import time

import browser
import numpy as np
import pytest
from test_rendering import A4, C4, TONE, piece

from poph_tf.data.cells import TrackCells
from poph_tf.errors import InputError
from poph_tf.rendering import audio, html, piano_roll, saving

needs_browser = pytest.mark.skipif(
    browser.PATH is None, reason="Chromium is not installed"
)


def test_the_page_holds_notes_bars_and_tempo():
    music = piece((0, 4, C4, 80), (4, 8, C4, 90), (2, 20, A4, 70), tempo_qpm=90.0)
    text = html.page([html.Piece("one", music, details="two bars")])
    (data,) = browser.page_data(text)["pieces"]
    assert data["notes"] == [
        [0, 4, 60, 80, 0], [2, 20, 69, 70, 0], [4, 8, 60, 90, 0]
    ]  # fmt: skip
    assert data["bars"] == [0, 16]
    assert data["beats"] == [0, 4, 8, 12, 16, 20, 24, 28]
    assert data["secondsPerStep"] == pytest.approx(60 / 90 / 4)
    assert (data["steps"], data["audio"], data["midi"]) == (32, None, None)


def in_two_tracks():
    """A low and a high voice that meet in a unison at the end."""
    voices = [
        piece((0, 8, A4, 70), (8, 16, A4, 70), steps=16),
        piece((0, 8, C4, 80), (8, 16, A4, 80), steps=16),
    ]
    tracks = tuple(
        TrackCells(name, 0, False, voice.cells)
        for name, voice in zip(("high", "low"), voices, strict=True)
    )
    return dataclasses.replace(voices[1], tracks=tracks)


def test_each_track_has_its_notes_and_the_colour_of_the_picture():
    (data,) = browser.page_data(html.page([html.Piece("one", in_two_tracks())]))[
        "pieces"
    ]
    assert data["notes"] == [
        [0, 8, 60, 80, 1], [8, 16, 69, 80, 1], [0, 8, 69, 70, 0], [8, 16, 69, 70, 0]
    ]  # fmt: skip
    shades = [middle for _, middle, _ in piano_roll.TRACK_SHADES]
    assert data["tracks"] == [
        {"name": "high", "colour": shades[0]},
        {"name": "low", "colour": shades[1]},
    ]


@needs_browser
def test_the_page_draws_and_names_tracks_in_their_colours(tmp_path):
    path = tmp_path / "index.html"
    path.write_text(html.page([html.Piece("one", in_two_tracks())]), "utf-8")
    with browser.Page(path.as_uri(), tmp_path / "profile") as page:
        pixels = (
            "Array.from(c.getContext('2d').getImageData(0, 0, c.width, c.height).data)"
        )
        shown = page.evaluate(f"(c => {pixels})(document.querySelector('.whole'))")
        shown = {tuple(pixel) for pixel in np.reshape(shown, (-1, 4))[:, :3].tolist()}
        for _, middle, _ in piano_roll.TRACK_SHADES[:2]:
            assert tuple(bytes.fromhex(middle[1:])) in shown
        words = page.evaluate("document.querySelector('.details').textContent")
        assert "".join(words.split()) == "■high■low"


def test_titles_cannot_break_out_of_the_page():
    title = "</script><b>bold & {{ data }}"
    text = html.page([html.Piece(title, piece())], title)
    assert browser.page_data(text)["pieces"][0]["title"] == title
    assert "<b>bold" not in text


@pytest.mark.parametrize(("title", "shown"), [("Hymn", "Hymn"), ("", "Composition")])
def test_a_saved_page_has_the_title_of_its_piece(title, shown):
    music = dataclasses.replace(piece((0, 4, C4, 80)), title=title)
    (data,) = browser.page_data(saving.render(music, "a.html"))["pieces"]
    assert data["title"] == shown


def test_pages_may_share_one_script_and_style():
    text = html.page([html.Piece("one", piece())], shared="player")
    assert 'src="player.js"' in text and 'href="player.css"' in text
    assert "class Card" not in text and "<style>" not in text
    assert browser.page_data(text)["pieces"][0]["title"] == "one"
    # In a page the studio's modules are one script.
    script = html.program()
    assert "class Synth" in script and "\nimport " not in script
    assert "\nexport " not in script


def test_a_page_without_pieces_is_refused():
    with pytest.raises(InputError, match="at least one piece"):
        html.page([])


def test_a_blind_test_has_ten_pairs_of_equal_tempo_and_loudness():
    composed = [piece((0, 8, C4, 40), steps=64) for _ in range(12)]
    real = [piece((0, 8, C4 + 7, 90), steps=600) for _ in range(11)]
    pairs = browser.page_data(html.blind_test(composed, real))["pairs"]
    assert len(pairs) == 10
    for pair in pairs:
        ours = pair["pieces"][pair["composed"]]
        theirs = pair["pieces"][1 - pair["composed"]]
        assert (ours["notes"], theirs["notes"]) == (
            [[0, 8, C4, 80, 0]],
            [[0, 8, C4 + 7, 80, 0]],
        )
        assert ours["secondsPerStep"] == theirs["secondsPerStep"]
        assert theirs["steps"] == 256
        assert [p["title"] for p in pair["pieces"]] == ["A", "B"]
    assert {pair["composed"] for pair in pairs} == {0, 1}
    with pytest.raises(InputError, match="composed and real pieces"):
        html.blind_test(composed, [])


@needs_browser
def test_a_blind_test_counts_and_saves_the_answers(tmp_path):
    music = [piece((0, 16, C4, 40), steps=32)] * 2
    path = tmp_path / "blind.html"
    path.write_text(html.blind_test(music, music), "utf-8")
    downloads = tmp_path / "downloads"
    with browser.Page(path.as_uri(), tmp_path / "profile") as page:
        page.send(
            "Browser.setDownloadBehavior", behavior="allow", downloadPath=str(downloads)
        )
        assert page.evaluate("save.disabled && line.textContent") == "0 of 2 answered."
        wanted = page.evaluate("pairs.map(p => p.composed)")
        for pair, place in enumerate(wanted):
            radio = f"document.getElementsByName('pair-{pair}')[{place}]"
            page.evaluate(f"{radio}.click()")
        page.evaluate("save.click()")
        assert page.evaluate("line.textContent") == "2 of 2 right; by chance 1."
        deadline = time.monotonic() + 10
        saved = downloads / "answers.json"
        while not saved.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert json.loads(saved.read_text("utf-8"))["right"] == 2
        assert page.seen("Runtime.exceptionThrown") == []


@pytest.fixture
def opened(tmp_path):
    """A page of two pieces, the first with a sound file, in a browser."""
    music = piece((0, 16, C4, 40), (8, 24, A4, 120), steps=64)
    pieces = [
        html.Piece("with sound", music, audio.to_wav(TONE)),
        html.Piece("notes only", music),
    ]
    path = tmp_path / "index.html"
    path.write_text(html.page(pieces), "utf-8")
    with browser.Page(path.as_uri(), tmp_path / "profile") as page:
        yield page
        assert page.seen("Runtime.exceptionThrown") == []
        requests = [e["request"]["url"] for e in page.seen("Network.requestWillBeSent")]
        assert [url for url in requests if not url.startswith("data:")] == [
            path.as_uri()
        ]


@needs_browser
def test_the_page_draws_every_roll(opened):
    colours = "new Set(new Uint32Array(c.getContext('2d')" + (
        ".getImageData(0, 0, c.width, c.height).data.buffer)).size"
    )
    counts = opened.evaluate(
        f"[...document.querySelectorAll('canvas')].map(c => {colours})"
    )
    assert len(counts) == 4 and min(counts) > 4


@needs_browser
@pytest.mark.parametrize("number", [0, 1])
def test_a_piece_plays_pauses_and_scrolls(opened, number):
    button = f"article:nth-child({number + 1}) button"
    opened.click(button)
    opened.wait(
        f"cards[{number}].player.playing && cards[{number}].player.time() > 0.3"
    )
    assert opened.evaluate(f"document.querySelector('{button}').ariaLabel") == (
        f"Pause {('with sound', 'notes only')[number]}"
    )
    opened.click(button)
    opened.wait(f"!cards[{number}].player.playing")
    paused = opened.evaluate(f"cards[{number}].player.time()")
    assert paused == opened.evaluate(f"cards[{number}].player.time()") > 0.3


@needs_browser
def test_only_one_piece_plays_at_a_time(opened):
    opened.click("article:nth-child(1) button")
    opened.wait("cards[0].player.playing")
    opened.click("article:nth-child(2) button")
    opened.wait("cards[1].player.playing")
    assert opened.evaluate("cards.map(card => card.player.playing)") == [False, True]


@needs_browser
def test_clicks_and_arrow_keys_move_the_position(opened):
    opened.click("article:nth-child(2) canvas.whole", x=0.55)
    step = opened.evaluate("cards[1].player.time() / cards[1].piece.secondsPerStep")
    assert step == pytest.approx(0.55 * 64, abs=1)
    opened.press("ArrowLeft")
    assert opened.evaluate("cards[1].player.time()") == pytest.approx(32 * 0.125)
    opened.press("ArrowRight")
    assert opened.evaluate("cards[1].player.time()") == pytest.approx(48 * 0.125)


@needs_browser
def test_the_notes_play_to_the_end_and_again_from_the_start(opened):
    opened.click("article:nth-child(2) canvas.whole", x=0.66)
    opened.evaluate("cards[1].player.player.store.shown.num_steps = 50")
    opened.press(" ")
    opened.wait("!cards[1].player.playing && cards[1].player.time() > 6.1")
    assert opened.evaluate("cards[1].player.time()") == pytest.approx(50 * 0.125)
    opened.press(" ")
    opened.wait("cards[1].player.playing && cards[1].player.time() < 6")
