"""Written scores as read by MusicXML's schema, music21, verovio and our reader."""

import importlib.metadata

import numpy as np
import pytest
import verovio
from lxml import etree
from music21 import converter
from test_written_scores import VOICES, choir, piece

from poph_tf.config.tracks import Track
from poph_tf.data import matrices as matrices_lib
from poph_tf.data.cells import spans
from poph_tf.rendering.musicxml import to_musicxml

XS = "http://www.w3.org/2001/XMLSchema"
# What MusicXML's schema takes from two others, which are on servers.
ATTRIBUTES = {
    "/xlink.xsd": ("http://www.w3.org/1999/xlink", "href type role title show actuate"),
    "/xml.xsd": ("http://www.w3.org/XML/1998/namespace", "lang space"),
}
PIECES = {
    "choir": choir(),
    "upbeat": piece(
        (0, 0, 4, 67), (0, 4, 20, 72), length=20, first=12, title="A & B\0"
    ),
    "six-eight": piece(
        *((0, 2 * k, 2 * k + 2, 72 + k) for k in range(6)),
        length=12,
        time_signatures=((0, 6, 8),),
    ),
    "piano": piece((0, 0, 8, 40), (0, 2, 8, 80), (0, 8, 11, 61), tempo_qpm=66.5),
    "rests": piece((0, 16, 20, 60), length=48),
    "band": piece(
        (0, 3, 9, 79),
        (1, 0, 16, 36),
        (1, 4, 8, 38),
        tracks=(Track("Flute", program=73), Track("Kit", is_drum=True)),
    ),
    "many voices": piece(*((0, k, k + 8, 60 + 2 * k) for k in range(8))),
}
pieces = pytest.mark.parametrize("made", PIECES.values(), ids=PIECES.keys())


class _Local(etree.Resolver):
    def resolve(self, url, _public_id, context):
        for ending, (space, names) in ATTRIBUTES.items():
            if url.endswith(ending):
                own = "".join(
                    f'<xs:attribute name="{name}" type="xs:string"/>'
                    for name in names.split()
                )
                schema = f'<xs:schema xmlns:xs="{XS}" targetNamespace="{space}">'
                return self.resolve_string(f"{schema}{own}</xs:schema>", context)
        return None


@pytest.fixture(scope="module")
def schema():
    """The schema of MusicXML 4, from a Python package."""
    package = importlib.metadata.distribution("musicxml")
    path = package.locate_file("musicxml/generate_classes/musicxml_4_0.xsd")
    parser = etree.XMLParser(no_network=True)
    parser.resolvers.add(_Local())
    return etree.XMLSchema(etree.parse(str(path), parser))


@pieces
def test_the_schema_of_musicxml_holds(schema, made):
    forms = [to_musicxml(made)]
    if made.tracks and made.tracks[0].name == VOICES[0].name:
        forms.append(to_musicxml(made, closed=True))
    for content in forms:
        schema.assertValid(etree.fromstring(content))


def test_the_schema_finds_a_fault(schema):
    broken = to_musicxml(choir()).replace(b"<step>C</step>", b"<step>H</step>", 1)
    assert not schema.validate(etree.fromstring(broken))


@pytest.fixture
def complaints(capfd):
    """Verovio's warnings while it engraves a score."""
    verovio.enableLog(verovio.LOG_WARNING)

    def engrave(score):
        toolkit = verovio.toolkit()
        assert toolkit.loadData(score.decode())
        assert 'class="staff"' in toolkit.renderToSVG(1)
        return capfd.readouterr().err

    yield engrave
    verovio.enableLog(verovio.LOG_OFF)


@pieces
def test_verovio_reads_it_without_complaint(complaints, made):
    assert complaints(to_musicxml(made)) == ""


def test_verovio_complains_of_what_is_wrong(complaints):
    broken = to_musicxml(choir()).replace(b"<type>half", b"<type>third")
    assert "Unsupported note-type-value 'third'" in complaints(broken)


@pieces
def test_music21_and_our_reader_find_the_same_notes(made, tmp_path):
    path = tmp_path / "a.musicxml"
    path.write_bytes(to_musicxml(made))
    read = matrices_lib.from_file(path, drums=True)
    steps = min(len(read), len(made))
    np.testing.assert_array_equal(read.play[:steps], made.play[:steps])
    assert not made.play[steps:].any() and not read.play[steps:].any()
    assert read.tempo_qpm == pytest.approx(made.tempo_qpm, abs=0.01)
    score = converter.parse(path).stripTies()
    found = sorted(
        (int(note.getOffsetInHierarchy(score) * 4), pitch.midi)
        for note in score.flatten().notes
        for pitch in getattr(note, "pitches", ())
    )
    expected = sorted(
        (int(start), int(pitch))
        for track in made.tracks
        if not track.is_drum
        for start, _, pitch, _ in zip(*spans(track.cells), strict=True)
    )
    assert [note for note in found if note in expected] == expected
