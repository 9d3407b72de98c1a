"""What the studio shows, and whether it can be seen: messages, tools, chords, keys."""

import itertools
import json
import pathlib
import re

import numpy as np
import pytest
from studio_page import (
    chromium,
    expect,
    needs_chromium,
    page,
    server,
    studio,
)

from poph_tf import theory

pytestmark = needs_chromium
__all__ = ["chromium", "page", "server"]  # fixtures
SIZES = pytest.mark.parametrize("size", [(390, 844), (1280, 800)])
BAD_FILE = {"name": "no.mid", "mimeType": "audio/midi", "buffer": b"no"}
BOX = "element => element.getBoundingClientRect()"
ON_TOP = """element => {
  const { x, y, width, height } = element.getBoundingClientRect();
  return element.contains(document.elementFromPoint(x + width / 2, y + height / 2));
}"""


@pytest.mark.parametrize("width", [390, 1280])
def test_everything_fits_is_named_and_can_be_read(chromium, server, width):
    checks = (pathlib.Path(__file__).parent / "page_checks.js").read_text()
    fine = {"tooSmall": [], "unnamed": [], "overlaps": [], "faint": [], "wider": False}
    with studio(chromium, server, size=(width, 844)) as page:
        page.click("#example")
        for theme in ("light", "dark"):
            page.emulate_media(color_scheme=theme, reduced_motion="reduce")
            assert page.evaluate(checks) == fine, theme
            if (more := page.locator("#more")).is_visible():
                more.click()
                assert page.evaluate(checks) == fine, theme


@SIZES
def test_what_went_wrong_is_in_sight_beside_the_button(chromium, server, size):
    with studio(chromium, server, size=size) as page:
        for name in ("#save", "summary", "#open"):
            page.locator(name).scroll_into_view_if_needed()
            page.set_input_files("#file", BAD_FILE)
            status = page.locator("#status")
            expect(status).to_contain_text("not a MIDI file")
            assert status.evaluate(ON_TOP), name
            assert page.locator(name).evaluate(ON_TOP), name
        # Nothing that gets keyboard focus is covered.
        page.evaluate("scrollTo(0, document.body.scrollHeight)")
        page.locator("#set-candidates").focus()
        for _ in range(12):
            page.keyboard.press("Shift+Tab")
            assert page.locator(":focus").evaluate(ON_TOP)


def test_the_list_of_keys_leaves_the_card_of_the_roll_as_it_is(chromium, server):
    with studio(chromium, server, size=(1280, 800)) as page:
        roll, stage = page.locator("#roll"), page.locator(".stage")
        before = roll.evaluate(BOX)["height"], stage.evaluate(BOX)["height"]
        page.click("summary")
        expect(page.locator("#roll-help")).to_be_visible()
        assert (roll.evaluate(BOX)["height"], stage.evaluate(BOX)["height"]) == before
        assert before[0] <= 704


def test_all_tools_of_a_phone_are_in_sight(chromium, server):
    with studio(chromium, server, size=(390, 844), has_touch=True) as page:
        assert page.locator("main button").first.get_attribute("id") == "do-compose"
        assert page.locator("#roll").evaluate(BOX)["top"] < 844 / 2
        expect(page.locator("#lasso")).to_be_hidden()
        page.locator("#more").focus()
        page.keyboard.press("Enter")
        for tool in page.locator(".bar :is(button, input, select)").all():
            box = tool.evaluate(BOX)
            assert box["width"] and box["left"] >= 0 and box["right"] <= 390, tool
        page.keyboard.press("Tab")
        expect(page.locator("#draw")).to_be_focused()
        page.click("#more")
        expect(page.locator("#lasso")).to_be_hidden()


def test_the_line_of_messages_says_that_the_key_piano_is_off(page):
    for words in ("play from C4", "shortcuts again"):
        page.click("#piano")
        expect(page.locator("#status")).to_contain_text(words, timeout=5000)


@SIZES
def test_the_score_is_engraved_as_wide_as_its_box(chromium, server, size):
    asked = []
    with studio(chromium, server, size=size) as page:
        page.on("request", lambda request: asked.append(request.url))
        page.click("#example")
        page.click("#tab-score")
        svg = page.locator("#notation > svg")
        for width in (size[0], 600):
            page.set_viewport_size({"width": width, "height": size[1]})
            box = page.locator("#notation")
            inside = box.evaluate("box => box.clientWidth - 16")
            # Bars keep their size: lines are broken, not shrunk.
            expect(svg).to_have_attribute("viewBox", re.compile(rf"0 0 {inside} "))
            assert svg.evaluate(BOX)["width"] == pytest.approx(inside, abs=1)
            assert box.evaluate("box => box.scrollWidth <= box.clientWidth")
        page.wait_for_timeout(500)  # longer than it waits before it engraves again
    assert len(asked) == 2


def test_an_engraver_that_fails_is_told_of_once(page):
    asked = []
    page.route("**/v1/render", lambda route: (asked.append(1), route.abort()))
    page.click("#tab-score")
    expect(page.locator("#status")).to_contain_text("The server does not answer")
    page.click("#tab-roll")
    page.click("#undo")
    page.wait_for_timeout(500)  # longer than it waits before it engraves again
    expect(page.locator("#status")).to_have_text("Nothing to undo.")
    assert len(asked) == 1
    page.click("#tab-score")
    expect(page.locator("#status")).to_contain_text("The server does not answer")


def test_each_task_and_the_key_say_what_they_do(page):
    for task, words in (
        ("accompany", "without a lock all but the active part"),
        ("infill", "the lasso, or the chosen bars of the parts that are not locked"),
        ("vary", "without a lock the active part"),
        ("reharmonize", "all but the melody"),
    ):
        assert words in page.get_attribute(f"#do-{task}", "title"), task
    told = page.get_attribute("#set-key", "title")
    assert "Any: the composer picks. Auto: that of the music." in told


def test_chords_and_keys_get_their_names(page):
    named = page.evaluate(
        """async (chords) => {
          const { nameChord } = await import("/page/harmony.js");
          const weigh = (classes) =>
            Array.from({ length: 12 }, (_, k) => Number(classes.includes(k)));
          return chords.map((classes) => nameChord(weigh(classes), classes[0], 0));
        }""",
        [[0, 4, 7], [9, 0, 4], [7, 11, 2, 5], [11, 2, 5], [0], [0, 1, 2, 3, 4, 5]],
    )
    assert named == ["C", "Am", "G7", "B°", "", ""]
    page.click("#example")
    expect(page.locator("#key-found")).to_have_text("Sounds like D major")


NAMES_OF_SCORES = """async (scores) => {
  const { chords, keyOf } = await import("/page/harmony.js");
  return scores.map((score) => chords(score, keyOf(score)).map(({ name }) => name));
}"""


def score_of(*beats, metre="4/4", steps=4):
    """A score with a chord, MIDI pitches, at each beat."""
    notes = [
        {"track": 0, "pitch": p, "start": k * steps, "duration": steps, "velocity": 80}
        for k, chord in enumerate(beats)
        for p in chord
    ]
    track = {"name": "piano", "program": 0, "is_drum": False}
    score = {"tracks": [track], "notes": notes, "num_steps": len(beats) * steps}
    return score | {"metre": metre, "steps_per_quarter": 4, "tempo": 96, "pickup": 0}


A_MINOR, D_MINOR, F, C = (57, 60, 64), (50, 57, 65), (53, 57, 60), (48, 55, 64)


def test_each_beat_has_its_chord(page):
    scores = [
        score_of(A_MINOR, D_MINOR, F, C),
        score_of(A_MINOR, A_MINOR, D_MINOR, D_MINOR),
        score_of(F, C, metre="6/8", steps=6),
    ]
    named = page.evaluate(NAMES_OF_SCORES, scores)
    assert named == [["Am", "Dm", "F", "C"], ["Am", "Dm"], ["F", "C"]]


def test_chords_are_spelled_by_the_key(page):
    d_flat, g_flat, a_flat = (49, 53, 56), (54, 58, 61), (56, 60, 63)
    e_flat_minor, f_minor = (51, 54, 58), (53, 56, 60)
    b_flat_minor, c_7 = (58, 61, 65), (48, 52, 58, 55)
    d, e_7, a, c_sharp_dim = (50, 54, 57), (52, 56, 62, 59), (57, 61, 64), (49, 52, 55)
    scores = [
        score_of(d_flat, e_flat_minor, g_flat, a_flat, d_flat),
        score_of(f_minor, b_flat_minor, d_flat, c_7, f_minor),
        score_of(a, d, e_7, a),
        score_of(C, F, c_sharp_dim, D_MINOR, (43, 50, 59), C),
    ]
    assert page.evaluate(NAMES_OF_SCORES, scores) == [
        ["D♭", "E♭m", "G♭", "A♭", "D♭"],
        ["Fm", "B♭m", "D♭", "C7", "Fm"],
        ["A", "D", "E7", "A"],
        ["C", "F", "C♯°", "Dm", "G", "C"],
    ]


def test_the_leading_notes_and_the_tonics_of_all_keys_are_spelled(page):
    named = page.evaluate(
        """async () => {
          const { KEYS, nameChord, pretty } = await import("/page/harmony.js");
          const name = (root, third, fifth, key) => {
            const classes = [root, root + third, root + fifth].map((one) => one % 12);
            const sums = new Array(12).fill(0);
            for (const one of classes) sums[one] = 1;
            return nameChord(sums, root % 12, key);
          };
          return KEYS.map((text, key) => [
            pretty(text),
            key < 12 ? name(key, 4, 7, key) : name(key, 3, 7, key),
            name(key + 11, 3, 6, key),
          ]);
        }"""
    )
    names = [theory.written_key(theory.key_name(key)) for key in range(24)]
    assert [key for key, *_ in named] == names
    for key, tonic, _ in named:
        name, mode = key.split()
        assert tonic == name + ("m" if mode == "minor" else ""), key
    # That of G sharp minor would need a double sharp.
    leading = [chord for *_, chord in named]
    assert " ".join(leading[:12]) == "B° C° C♯° D° D♯° E° E♯° F♯° G° G♯° A° A♯°"
    assert " ".join(leading[12:]) == "B° B♯° C♯° D° D♯° E° E♯° F♯° G° G♯° A° A♯°"


RECORD_LABELS = """
const fill = CanvasRenderingContext2D.prototype.fillText;
window.labels = {};
CanvasRenderingContext2D.prototype.fillText = function (text, x, y, most = Infinity) {
  const { width } = this.measureText(text);
  if (text.includes("♭")) labels[x] = [x, x + Math.min(width, most)];
  fill.call(this, text, x, y, most);
};
"""


def test_labels_of_chords_do_not_overlap(chromium, server):
    score = score_of(*[(54, 58, 61, 65), (51, 58, 61, 66)] * 8)  # G♭maj7, E♭m7
    keep = f"localStorage.setItem('poph-studio', '{json.dumps({'score': score})}');"
    with studio(chromium, server, script=keep + RECORD_LABELS) as page:
        # Labels are squeezed as long as all fit; after that, some are left out.
        for least in (16, 8, 4):
            page.wait_for_timeout(200)
            drawn = sorted(page.evaluate("Object.values(labels)"))
            assert len(drawn) >= least
            for (_, end), (start, _) in itertools.pairwise(drawn):
                assert end < start
            page.evaluate("labels = {}")
            page.click("#zoom-out")


def test_the_page_finds_the_key_that_the_package_finds(page):
    rng = np.random.default_rng(1)
    rolls = (rng.random((50, 8, 128)) < 0.1) * (np.arange(128) % 12 < 9)
    found = page.evaluate(
        """async (rolls) => {
          const { findKey, ofEnding } = await import("/page/harmony.js");
          return rolls.map(([sums, lowest]) => findKey(sums, ofEnding(lowest)));
        }""",
        [
            (theory.class_counts(play.sum(axis=0)).tolist(), int(play[-1].argmax()))
            for play in rolls
        ],
    )
    assert found == [theory.find_key(play) for play in rolls]
    assert len(set(found)) > 8
