"""Tests of engraved pages: SVG, PDF and pictures of scores."""

import io
import re

import numpy as np
import pytest
from svglib import svglib
from test_written_scores import choir, piece

from poph_tf.errors import InputError
from poph_tf.rendering import engraving, musicxml, saving


def test_pages_are_engraved_as_svg_and_pdf(tmp_path):
    made = choir()
    for suffix in ("svg", "pdf", "musicxml"):
        saving.save(made, tmp_path / f"a.{suffix}")
    svg = (tmp_path / "a.svg").read_text("utf-8")
    assert len(re.findall(r'class="note"', svg)) == 5
    pdf = (tmp_path / "a.pdf").read_bytes()
    assert pdf.startswith(b"%PDF") and len(pdf) > 5000
    saving.save(made, tmp_path / "b.pdf")
    assert (tmp_path / "b.pdf").read_bytes() == pdf
    score = (tmp_path / "a.musicxml").read_bytes()
    assert score == musicxml.to_musicxml(made)


def test_what_is_no_score_is_not_engraved():
    with pytest.raises(InputError, match="verovio cannot read it"):
        engraving.to_svg(b"<a/>")


def test_a_picture_holds_a_score_of_several_pages(tmp_path):
    tune = [(0, 4 * k, 4 * k + 4, 60 + k % 12) for k in range(464)]
    long = piece(*tune, length=1856)
    saving.save(long, tmp_path / "a.svg")
    saving.save(long, tmp_path / "a.score.png")
    pages = engraving.to_svg(musicxml.to_musicxml(long))
    assert len(pages) > 1
    systems = sum(page.count('class="system"') for page in pages)
    assert (tmp_path / "a.svg").read_text("utf-8").count('class="system"') == systems
    assert len(staff_lines(tmp_path / "a.score.png")) == 5 * systems


def test_a_score_that_is_too_long_for_a_picture_is_refused(monkeypatch):
    monkeypatch.setattr(engraving, "_LONGEST_PAGE", 300)
    score = musicxml.to_musicxml(piece(*[(0, 0, 960, 60)], length=960))
    with pytest.raises(InputError, match=r"too long for one picture: save it as .pdf"):
        engraving.to_png(score)


def test_a_score_is_engraved_to_a_width():
    made = musicxml.to_musicxml(piece((0, 0, 128, 60), length=128))
    heights = []
    for width in (300, 840):
        (page,) = engraving.to_svg(made, width)
        size = re.search(r'<svg [^>]*?width="(\d+)px" height="(\d+)px"', page)
        assert int(size[1]) == width
        heights.append(int(size[2]))
    assert heights[0] > heights[1]  # more lines


def test_a_picture_of_a_score_is_engraved(tmp_path):
    saving.save(choir(), tmp_path / "a.score.png")
    assert len(staff_lines(tmp_path / "a.score.png")) == 10  # Of two staves.


def staff_lines(path):
    """Picture rows where a line begins that is about as long as the longest."""
    image = pytest.importorskip("matplotlib.image")
    pixels = image.imread(path)[..., :3]
    assert pixels.shape[1] == engraving.PICTURE_PIXELS
    ink = (pixels.mean(axis=-1) < 0.8).sum(axis=1)  # Thin lines are grey.
    lines = np.flatnonzero(ink > ink.max() / 2)
    return lines[np.diff(lines, prepend=-9) > 1]


def test_title_and_names_stand_above_the_score_of_a_piece_with_a_title():
    said = {"title": "Air & \u00e9", "composer": "A. Singer", "arranger": "Arranged"}
    made = piece((0, 0, 16, 60), **said)
    svg = engraving.to_one_svg(musicxml.to_musicxml(made), 800)
    line = r'x="(\d+)" y="\d+" text-anchor="(\w+)" [^>]*>([^<\n]+)</text>'
    assert re.findall(line, svg) == [
        ("9500", "middle", "Air &amp; \u00e9"),
        *(("19000", "end", name) for name in ("A. Singer", "Arranged")),
    ]
    bare = musicxml.to_musicxml(piece((0, 0, 16, 60), composer="poph_tf"))
    assert "poph_tf" not in engraving.to_one_svg(bare)


def test_the_title_has_its_place_in_a_pdf():
    made = piece((0, 0, 16, 60), title="Air")
    (page,) = engraving.to_svg(musicxml.to_musicxml(made))
    shapes = [svglib.svg2rlg(io.StringIO(page))]
    for shape in shapes:
        shapes += getattr(shape, "contents", [])
    (title,) = (shape for shape in shapes if getattr(shape, "text", "") == "Air")
    assert (title.x, title.textAnchor) == (10000, "middle")
