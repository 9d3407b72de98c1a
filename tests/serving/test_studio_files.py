"""Files that the studio saves, each read back."""

import io
import struct
import wave
import zlib
from xml.etree import ElementTree

import mido
import numpy as np
import pytest
from studio_page import (
    MELODY,
    chromium,
    compose,
    draw,
    expect,
    needs_chromium,
    page,
    read_notes,
    save,
    server,
)

from poph_tf.data import midi, scores

pytestmark = needs_chromium
__all__ = ["chromium", "page", "server"]  # fixtures
NOTES = [(step, pitch, 4) for step, pitch in MELODY]
# The melody lasts a bar of 4/4 at 96 quarters a minute.
SECONDS = 4 * 60 / 96
SVG = "{http://www.w3.org/2000/svg}"


def notes_of_midi(content, path):
    assert read_notes(midi.read(path)) == NOTES


def notes_of_musicxml(content, path):
    assert read_notes(scores.read(path)) == NOTES


def sound(content, path):
    with wave.open(io.BytesIO(content)) as file:
        frames = np.frombuffer(file.readframes(file.getnframes()), "<i2")
        rate, channels = file.getframerate(), file.getnchannels()
    loud = np.flatnonzero(np.abs(frames.reshape(-1, channels)).max(axis=1) > 300) / rate
    assert loud[0] < 0.2
    assert SECONDS - 0.7 < loud[-1] < SECONDS + 3


def drawn_roll(content, path):
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", content[16:24])
    assert width > 300 and height > 100
    packed, place = b"", 8
    while place < len(content):
        size = int.from_bytes(content[place : place + 4])
        if content[place + 4 : place + 8] == b"IDAT":
            packed += content[place + 8 : place + 8 + size]
        place += size + 12
    assert len(set(zlib.decompress(packed))) > 3


def pages(content, path):
    assert content.startswith(b"%PDF-1.") and content.rstrip().endswith(b"%%EOF")
    assert content.count(b"/Type /Page\n") + content.count(b"/Type /Page ") == 1


def engraved_notes(content, path):
    root = ElementTree.fromstring(content)
    groups = [group.get("class", "").split() for group in root.iter(f"{SVG}g")]
    assert sum("note" in names for names in groups) == len(NOTES)


READERS = {
    "mid": notes_of_midi,
    "musicxml": notes_of_musicxml,
    "wav": sound,
    "png": drawn_roll,
    "pdf": pages,
    "svg": engraved_notes,
}


@pytest.fixture
def drawn(page):
    draw(page)
    return page


def test_each_format_that_the_page_offers_is_saved_and_read_back(drawn, tmp_path):
    offered = drawn.locator("#format option").evaluate_all(
        "all => all.map(o => o.value)"
    )
    assert offered == list(READERS)
    for ending, read in READERS.items():
        path = save(drawn, ending, tmp_path)
        assert path.name == f"music.{ending}"
        read(path.read_bytes(), path)


def test_the_title_of_an_opened_tune_is_that_of_its_harmony(page, tmp_path):
    tune = b"X:1\nT:Morning hymn\nC:A. Singer\nL:1/4\nK:G\nG A B c|\n"
    file = {"name": "tune.abc", "mimeType": "text/plain", "buffer": tune}
    page.set_input_files("#file", file)
    expect(page.locator("#status")).to_contain_text("Opened tune.abc: 4 notes")
    compose(page, "harmonize")
    score = ElementTree.fromstring(save(page, "musicxml", tmp_path).read_bytes())
    assert score.findtext("work/work-title") == "Morning hymn"
    assert {c.get("type"): c.text for c in score.iter("creator")} == {
        "composer": "A. Singer",
        "arranger": "Harmonized by poph_tf",
    }


def test_the_key_that_an_opened_file_states_is_that_of_its_harmony(page, tmp_path):
    tune = b"X:1\nL:1/4\nK:Dm\nA F E D|C E G c|A F E D|\n"
    file = {"name": "tune.abc", "mimeType": "text/plain", "buffer": tune}
    page.set_input_files("#file", file)
    expect(page.locator("#status")).to_contain_text("Opened tune.abc: 12 notes")
    compose(page, "harmonize")
    saved = mido.MidiFile(save(page, "mid", tmp_path))
    keys = [message.key for message in saved if message.type == "key_signature"]
    assert keys == ["Dm"]
    page.click("#new")
    draw(page)
    saved = mido.MidiFile(save(page, "mid", tmp_path))
    assert not [message for message in saved if message.type == "key_signature"]


def test_the_name_of_an_opened_file_is_kept_over_a_reload(page, tmp_path):
    tune = b"X:1\nM:3/4\nL:1/4\nK:G\nG A B|\n"
    page.set_input_files(
        "#file", {"name": "my tune.abc", "mimeType": "text/plain", "buffer": tune}
    )
    expect(page.locator("#status")).to_contain_text("Opened my tune.abc")
    page.reload()
    expect(page.locator("#model option").first).to_be_attached()
    assert save(page, "mid", tmp_path).name == "my tune.mid"
    page.click("#new")
    draw(page)
    assert save(page, "mid", tmp_path).name == "music.mid"
