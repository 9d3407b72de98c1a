"""Engraves MusicXML as SVG, PDF and PNG, with verovio.

All of it needs the extra `score`. Text in pictures uses matplotlib's own font, if
matplotlib is installed, so that a machine without fonts draws the same picture.
"""

import importlib.util
import io
import pathlib
import re
from typing import Any

from poph_tf.errors import InputError

_OPTIONS = {
    "adjustPageHeight": True,
    "footer": "none",
    "header": "encoded",
    "scale": 40,
}
_UNITS_OF_PIXEL = 100 / 40
_LONGEST_PAGE = 60000
PAGE_PIXELS = 840  # the width of A4
# verovio sets the note of a metronome mark in a music font that few viewers have.
_METRONOME_NOTE, _QUARTER_NOTE = "\ueca5", "\N{QUARTER NOTE}"

# verovio nests the text above a page, and svglib loses the position of nested text.
_NESTED = re.compile(
    r'<text font-size="0px">\s*<tspan id="\w+" class="rend"([^>]*)>\s*<tspan[^>]*>\s*'
    r'<tspan( font-size="\w+")>([^<]*)</tspan>\s*</tspan>\s*</tspan>\s*</text>'
)
_FONT, _FONTS_OF_MATPLOTLIB = "DejaVu Serif", "mpl-data/fonts/ttf"
PICTURE_PIXELS = 1200


def to_svg(score: bytes, width: int | None = None) -> list[str]:
    """Engraves a score.

    Args:
        score: a MusicXML file.
        width: width in pixels of one page as long as possible; None: A4 pages.

    Returns:
        One SVG document per page.

    Raises:
        InputError: If verovio is not installed, or cannot read the score.
    """
    toolkit = _import("verovio").toolkit()
    options = dict(_OPTIONS)
    if width is not None:
        units = round(width * _UNITS_OF_PIXEL)
        options |= {"pageHeight": _LONGEST_PAGE, "pageWidth": units}
    toolkit.setOptions(options)
    if not toolkit.loadData(score.decode()):
        raise InputError("The score cannot be engraved: verovio cannot read it.")
    pages = range(1, toolkit.getPageCount() + 1)
    made = [_NESTED.sub(r"<text\1\2>\3</text>", toolkit.renderToSVG(k)) for k in pages]
    return [page.replace(_METRONOME_NOTE, _QUARTER_NOTE) for page in made]


def to_one_svg(score: bytes, width: int = PAGE_PIXELS) -> str:
    """Engraves a whole score as one SVG document; see `to_svg`.

    Raises:
        InputError: Also if it is longer than verovio's longest page.
    """
    pages = to_svg(score, width)
    if len(pages) > 1:
        raise InputError("The score is too long for one picture: save it as .pdf.")
    return pages[0]


def to_pdf(score: bytes) -> bytes:
    """Engraves a score as a PDF; see `to_svg`."""
    svglib = _import("svglib.svglib")
    canvas = _import("reportlab.pdfgen.canvas")
    render = _import("reportlab.graphics.renderPDF").draw
    file = io.BytesIO()
    # Without a date, the same score gives the same file.
    document = canvas.Canvas(file, invariant=1)
    for page in to_svg(score):
        drawing = svglib.svg2rlg(io.StringIO(page))
        document.setPageSize((drawing.width, drawing.height))
        render(drawing, document, 0, 0)
        document.showPage()
    document.save()
    return file.getvalue()


def to_png(score: bytes) -> bytes:
    """Engraves a whole score as a picture; see `to_one_svg`."""
    resvg = _import("resvg_py")
    options: dict[str, Any] = {}
    matplotlib = importlib.util.find_spec("matplotlib")
    if matplotlib and matplotlib.origin:
        fonts = pathlib.Path(matplotlib.origin).parent / _FONTS_OF_MATPLOTLIB
        options = {"font_dirs": [str(fonts)], "skip_system_fonts": True}
        options |= {"font_family": _FONT, "serif_family": _FONT}
    options |= {"background": "white", "width": PICTURE_PIXELS}
    return bytes(resvg.svg_to_bytes(svg_string=to_one_svg(score), **options))


def _import(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        package = name.partition(".")[0]
        raise InputError(
            f"Engraving needs {package}: pip install 'poph_tf[score]'."
        ) from None
