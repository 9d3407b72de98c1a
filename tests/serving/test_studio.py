"""The studio in a real browser, before the real server: draw, compose, play, save."""

import pathlib
import re
import shutil
import subprocess

import pytest
from studio_page import (
    MELODY,
    SAVED,
    STEP_PIXELS,
    TIMEOUT_MS,
    WEB,
    at,
    chromium,
    compose,
    drag,
    draw,
    expect,
    needs_chromium,
    notes,
    page,
    read_notes,
    save,
    score,
    server,
    studio,
)

from poph_tf.data import midi, scores

pytestmark = needs_chromium
__all__ = ["chromium", "page", "server"]  # fixtures
TUNE = "X:1\nT:Tune\nM:3/4\nL:1/4\nK:G\nG A B|d2 B|\n"


def test_a_melody_is_drawn_harmonized_varied_and_saved(page, tmp_path):
    draw(page)
    drawn = score(page)
    assert notes(drawn) == [(0, step, pitch, 4) for step, pitch in MELODY]
    compose(page, "harmonize")
    first = score(page)
    assert notes(first, track=0) == notes(drawn)
    assert all(notes(first, track=track) for track in range(4))
    page.get_by_label("Lock bass: it is held when the composer draws").click()
    page.fill("#set-temperature", "1.3")
    compose(page, "vary")
    second = score(page)
    assert notes(second, track=3) == notes(first, track=3)
    assert notes(second) != notes(first)
    merged = sorted({note[1:] for note in notes(second)})
    for ending, reader in (("mid", midi.read), ("musicxml", scores.read)):
        path = save(page, ending, tmp_path)
        starts = {(start, pitch) for start, pitch, _ in read_notes(reader(path))}
        assert starts == {(start, pitch) for start, pitch, _ in merged}, ending


def test_notes_are_moved_resized_deleted_and_brought_back(page):
    draw(page, [(4, 60)])
    drag(page, at(page, 5, 60), at(page, 9, 62))
    assert notes(score(page)) == [(0, 8, 62, 4)]
    x, y = at(page, 11, 62)
    drag(page, (x + 3, y), (x + 3 + 2 * STEP_PIXELS, y))
    assert notes(score(page)) == [(0, 8, 62, 6)]
    page.mouse.click(*at(page, 8, 62), button="right")
    assert notes(score(page)) == []
    page.click("#undo")
    page.click("#undo")
    assert notes(score(page)) == [(0, 8, 62, 4)]
    page.click("#redo")
    assert notes(score(page)) == [(0, 8, 62, 6)]


def test_the_roll_is_played_by_keys_alone(page):
    page.locator(".skip").focus()
    page.keyboard.press("Enter")
    page.locator("#roll").focus()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    expect(page.locator("#whisper")).to_have_text("C♯4 added, 4 steps")
    page.keyboard.press("Alt+ArrowRight")
    page.keyboard.press("Shift+ArrowLeft")
    assert notes(score(page)) == [(0, 1, 61, 3)]
    page.keyboard.press("Control+c")
    page.keyboard.press("Control+ArrowRight")
    page.keyboard.press("Control+v")
    assert notes(score(page)) == [(0, 1, 61, 3), (0, 16, 61, 3)]
    page.keyboard.press("Delete")
    page.keyboard.press("Alt+Shift+ArrowRight")
    expect(page.locator("#choice")).to_have_text("Chosen: bar 2")
    page.fill("#tempo", "300")
    page.click("#loop")
    page.click("#rewind")
    page.locator("#roll").focus()
    page.keyboard.press("Space")
    expect(page.locator("#play")).to_have_text("Pause")
    page.wait_for_timeout(1200)  # a bar takes 0.8 s
    expect(page.locator("#position")).to_have_text(re.compile(r"2\.\d"))
    page.keyboard.press("Space")
    expect(page.locator("#play")).to_have_text("Play")
    page.keyboard.press("Escape")
    expect(page.locator("#choice")).to_have_text("")


def test_a_lasso_is_filled_in_and_the_rest_stays(page):
    page.click("#example")
    compose(page, "harmonize")
    before = score(page)
    page.click("#lasso")
    page.get_by_role("radio", name="bass").check()
    page.locator("#roll").evaluate("roll => roll.scrollTop = 500")
    drag(page, at(page, 16, 64), at(page, 31, 40))
    expect(page.locator("#choice")).to_contain_text("lasso in")
    chosen = page.locator("#choice").text_content()
    compose(page, "infill")
    after = score(page)
    for track, part in enumerate(before["tracks"]):
        same = [n for n in notes(before, track=track) if not 12 < n[1] < 36]
        assert same == [n for n in notes(after, track=track) if not 12 < n[1] < 36]
        if part["name"] not in chosen:
            assert notes(before, track=track) == notes(after, track=track)


def test_candidates_are_heard_side_by_side_and_one_is_kept(page):
    page.select_option("#set-candidates", "2")
    page.fill("#set-bars", "2")
    compose(page, "compose")
    cards = page.locator(".candidate")
    expect(cards).to_have_count(2)
    page.get_by_role("button", name="Play Compose 2").click()
    expect(page.get_by_role("button", name="Pause Compose 2")).to_be_visible()
    cards.nth(1).get_by_text("Keep").click()
    # wait_for_function evaluates text in the page, which its policy forbids.
    tries = iter(range(TIMEOUT_MS // 100))
    while page.evaluate(SAVED + "?.candidates?.length") != 2 and next(tries) >= 0:
        page.wait_for_timeout(100)
    kept = page.evaluate(SAVED + ".candidates[1].score")
    assert notes(score(page)) == notes(kept)
    page.reload()
    expect(page.locator(".candidate")).to_have_count(2)
    assert notes(score(page)) == notes(kept)


def test_a_link_brings_settings_and_notes(page, chromium, server):
    draw(page)
    page.select_option("#set-key", "D minor")
    page.click("#share")
    expect(page.locator("#status")).to_contain_text("settings, seed and notes")
    link = page.evaluate("location.hash")
    with studio(chromium, server, path=link) as other:
        expect(other.locator("#set-key")).to_have_value("D minor")
        assert notes(score(other)) == [(0, step, pitch, 4) for step, pitch in MELODY]


def test_files_are_opened_and_dropped(page):
    tune = {"name": "tune.abc", "mimeType": "text/plain", "buffer": TUNE.encode()}
    page.set_input_files("#file", tune)
    expect(page.locator("#status")).to_contain_text("Opened tune.abc: 5 notes")
    expect(page.locator("#metre")).to_have_value("3/4")
    page.click("#new")
    page.evaluate(
        """text => {
          const data = new DataTransfer();
          data.items.add(new File([text], "dropped.abc"));
          document.body.dispatchEvent(new DragEvent("drop", {dataTransfer: data}));
        }""",
        TUNE,
    )
    expect(page.locator("#status")).to_contain_text("Opened dropped.abc: 5 notes")
    assert [note[1:3] for note in notes(score(page))][:3] == [(0, 67), (4, 69), (8, 71)]


def test_composing_streams_plays_and_is_cancelled(page):
    page.check("#set-listen")
    page.fill("#set-bars", "64")
    # Long enough to be still at work when a busy machine gets to the click.
    page.select_option("#set-candidates", "4")
    page.click("#do-compose")
    expect(page.locator("#progress")).to_be_visible()
    expect(page.locator("#status")).to_contain_text("Composing: bar")
    expect(page.locator("#play")).to_have_text("Pause")
    page.click("#cancel")
    expect(page.locator("#status")).to_have_text("Cancelled.")
    expect(page.locator("#cancel")).to_be_hidden()
    expect(page.locator("#play")).to_have_text("Play")
    assert notes(score(page)) == []


def test_the_score_is_engraved_and_follows(page):
    page.click("#example")
    page.click("#tab-score")
    bars = page.locator("#notation g.measure")
    expect(bars).to_have_count(8)
    page.locator("#seek").fill("36")
    expect(bars.nth(2)).to_have_class("measure playing")
    assert page.locator("#notation [style], #notation style").count() == 0


MIDI_KEYBOARD = """
const input = { name: "Test keys", onmidimessage: null };
window.send = (...data) => input.onmidimessage({ data: new Uint8Array(data) });
navigator.requestMIDIAccess = async () => ({ inputs: new Map([["a", input]]) });
"""


PLAY_IN_COUNT_IN = """async () => {
  document.querySelector("#record").click();
  await new Promise((resolve) => setTimeout(resolve, 300));
  send(0x90, 62, 90);
  send(0x80, 62, 0);
}"""


def test_a_midi_keyboard_is_recorded_after_a_count_in(chromium, server):
    counted_in = re.compile(r"1\.[2-4]|[2-9]\.\d")
    with studio(chromium, server, script=MIDI_KEYBOARD) as page:
        page.fill("#tempo", "80")
        page.click("#midi")
        expect(page.locator("#status")).to_have_text("Listening to Test keys.")
        page.evaluate(PLAY_IN_COUNT_IN)
        expect(page.locator("#position")).to_have_text(counted_in)
        page.evaluate("send(0x90, 64, 90)")
        page.wait_for_timeout(300)
        page.evaluate("send(0x80, 64, 0)")
        page.click("#record")
        expect(page.locator("#status")).to_have_text("Recorded 1 note.")
        ((track, start, pitch, _),) = notes(score(page))
        assert (track, pitch) == (0, 64) and start > 0
        page.click("#piano")
        page.click("#rewind")
        page.click("#record")
        expect(page.locator("#position")).to_have_text(counted_in)
        page.keyboard.press("f")
        page.click("#record")
        assert sorted(note[2] for note in notes(score(page))) == [64, 65]


def test_wrong_things_are_told_in_a_sentence(page):
    status = page.locator("#status")
    page.click("#do-harmonize")
    expect(status).to_contain_text("There are no notes yet")
    page.click("#example")
    page.click("#do-infill")
    expect(status).to_contain_text("Choose what to fill in")
    page.fill("#set-chords", "C H")
    page.click("#do-harmonize")
    expect(status).to_have_class("wrong")
    expect(status).to_contain_text("H")
    assert page.locator("body.composing").count() == 0
    page.set_input_files(
        "#file", {"name": "no.mid", "mimeType": "audio/midi", "buffer": b"no"}
    )
    expect(status).not_to_contain_text("Reading")


def test_a_form_is_sent_however_it_is_typed(page):
    sent = page.evaluate(
        """async () => {
          const { request } = await import("/page/request.js");
          const model = { form: true, styles: [] };
          const form = (text) =>
            request({ model, shown: {}, settings: { form: text } }, "compose").form;
          return ["AABA", "a a b a", "Free", " "].map(form);
        }"""
    )
    assert sent == ["AABA", "AABA", "free", None]


def test_the_page_says_that_the_server_is_gone(page):
    page.route("**/v1/compose", lambda route: route.abort())
    page.click("#do-compose")
    expect(page.locator("#status")).to_have_text(
        "The server does not answer; is it running?"
    )


def test_the_modules_pass_the_type_checker():
    tsc = shutil.which("tsc") or WEB.parents[2] / "build/page/node_modules/.bin/tsc"
    if not pathlib.Path(tsc).exists():
        pytest.skip("TypeScript is not installed; see tools/page/check.sh")
    project = WEB.parents[2] / "tools" / "page"
    done = subprocess.run(
        [tsc, "-p", project / "jsconfig.json"], capture_output=True, text=True
    )
    assert done.stdout == "" and done.returncode == 0


def test_the_page_is_small_and_has_no_inline_code():
    size = sum(path.stat().st_size for path in WEB.iterdir())
    assert size < 200_000
    page = (WEB / "index.html").read_text()
    assert "style=" not in page and "<script>" not in page and " onclick" not in page
    assert all(len(p.read_text().splitlines()) <= 400 for p in WEB.iterdir())
