"""Given music: which notes are clamped, prefilled, kept and drawn again."""

import dataclasses

import numpy as np
import pytest
import small

from poph_tf import config, theory
from poph_tf.config import GenerationConfig
from poph_tf.data import matrices
from poph_tf.errors import InputError
from poph_tf.generation import candidates, constraints, tasks
from poph_tf.generation.engine import Engine

MODEL = config.preset("biaxial", **small.SIZES)  # pitches 36 to 49


def melody(notes, num_steps=16, metre=(4, 4), first=0):
    """Makes Matrices of (start, end, pitch) with velocity 90."""
    cells = np.zeros((num_steps, 128, 3), np.uint8)
    for start, end, pitch in notes:
        cells[start:end, pitch] = (1, 0, 90)
        cells[start, pitch, 1] = start > 0 and cells[start - 1, pitch, 0]
    bar_steps = 16 * metre[0] // metre[1]
    bars = ((np.arange(num_steps) + first) % bar_steps).astype(np.uint8)
    return matrices.Matrices(
        cells=cells, bar_position=bars, time_signatures=((0, *metre),)
    )


TUNE = melody([(0, 4, 45), (4, 6, 45), (8, 9, 43)])

# Constraints.


def test_the_notes_of_a_voice_are_clamped_and_end_where_they_end():
    cells = constraints.clamp_notes(TUNE.cells, MODEL, "any")
    at = 45 - 36
    np.testing.assert_array_equal(cells[:9, at, 0], [1] * 7 + [0, 0])
    np.testing.assert_array_equal(cells[:7, at, 1], [1] * 6 + [0])
    np.testing.assert_array_equal(cells[:6, at, 2], [1, 0, 0, 0, 1, 0])
    np.testing.assert_allclose(cells[:6, at, 3], 90 / 127)
    # The 6 + 1 steps and the step after each of the two ends are clamped.
    assert cells[..., 0].sum() == 9


@pytest.mark.parametrize(
    ("voice", "silent"), [("melody", slice(10, 14)), ("bass", slice(0, 9))]
)
def test_nothing_is_drawn_above_a_melody_or_below_a_bass_while_it_sounds(voice, silent):
    cells = constraints.clamp_notes(TUNE.cells, MODEL, voice)
    assert (cells[:6, silent, 0] == 1).all() and (cells[:6, silent, 1] == 0).all()
    others = np.delete(np.arange(14), np.r_[silent, 9])
    assert not cells[:6, others, 0].any()
    # The melody rests: only the pitch of the note that has just ended is clamped.
    assert cells[6:8, :, 0].sum() == 1


def test_notes_to_harmonize_are_moved_into_the_model_s_pitches():
    tune = melody([(0, 1, 43), (1, 2, 50)])
    made = GenerationConfig(music=tune, task="harmonize").resolve(MODEL).task
    assert made.changes == (
        "1 of 2 notes (50%) lie outside the model's pitches, 36 to 49: they are moved "
        "by octaves.",
    )
    step, pitch = np.nonzero(made.clamped[:2, :, 1])
    assert (step.tolist(), (pitch + 36).tolist()) == ([0, 1], [43, 38])
    silent = GenerationConfig(music=melody([]), task="harmonize")
    with pytest.raises(InputError, match="must have notes"):
        silent.resolve(MODEL)


def test_notes_outside_the_model_s_pitches_stay_before_what_is_drawn():
    tune = melody([(0, 1, 43), (1, 2, 50)])
    made = GenerationConfig(music=tune, num_bars=1).resolve(MODEL).task
    assert made.prefill.play[1].nonzero()[0].tolist() == [50]
    (change,) = made.changes
    assert change.endswith("36 to 49: the model leaves them out.")


def test_bars_count_from_the_first_whole_bar():
    piece = melody([(0, 1, 40)], num_steps=4 + 12 + 12, metre=(3, 4), first=8)
    assert constraints.steps_before_bar(piece, 1) == 4
    assert constraints.steps_before_bar(piece, 3) == 28
    assert constraints.steps_of_bars(piece, "2") == (16, 28)
    assert constraints.steps_of_bars(piece, "1-2") == (4, 28)
    for wrong in ("3", "0", "2-1", "a", "1-"):
        with pytest.raises(InputError, match="^bars must"):
            constraints.steps_of_bars(piece, wrong)
    with pytest.raises(InputError, match="1 to 3, got 4"):
        constraints.steps_before_bar(piece, 4)


def test_a_time_signature_has_whole_sixteenths():
    assert theory.read_metre("3/4") == (3, 4)
    assert theory.read_metre(" 6/8 ") == (6, 8)
    for wrong in ("3", "3/5", "3/32", "0/4", "999/4", "x/4", "4/0"):
        with pytest.raises(InputError, match="metre must be"):
            theory.read_metre(wrong)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"redraw": "2"}, "redraw needs a primer"),
        ({"from_bar": 2}, "from_bar needs a primer"),
        ({"primer": TUNE, "fix": TUNE}, "fix and primer cannot be combined"),
        ({"fix": TUNE, "metre": "3/4"}, "metre cannot be combined with fix or redraw"),
        ({"fix_as": "tenor"}, "fix_as must be one of melody, bass, any"),
        ({"tempo_qpm": 3.5}, "tempo_qpm must be 0 .* or at least 4, .* got 3.5"),
        ({"best_by": "ear"}, "best_by must be one of"),
        ({"fix": TUNE, "particles": 100, "best_of": 100}, "at most 4096, got 10000"),
    ],
)
def test_settings_that_cannot_be_combined_are_refused(settings, words):
    with pytest.raises(InputError, match=words):
        GenerationConfig(**settings)


# Tasks.


def task(**settings):
    return tasks.from_config(GenerationConfig(**settings), MODEL)


def test_without_a_primer_metre_is_the_time_signature_of_the_piece():
    made = task(num_bars=2, metre="6/8")
    np.testing.assert_array_equal(made.bar_position, np.arange(24) % 12)
    assert made.time_signatures == ((0, 6, 8),)


def test_the_time_signature_changes_where_the_new_bars_begin():
    made = task(num_bars=1, metre="3/4", primer=melody([(0, 1, 40)], 10))
    np.testing.assert_array_equal(made.bar_position, np.arange(12))
    assert made.time_signatures == ((0, 4, 4), (10, 3, 4))
    alone = task(
        num_bars=1, metre="3/4", primer=melody([(0, 1, 40)], 10), keep_primer=False
    )
    assert alone.time_signatures == ((0, 3, 4),)


def test_from_bar_cuts_the_primer():
    primer = melody([(0, 40, 40)], num_steps=40)
    made = task(num_bars=1, primer=primer, from_bar=2)
    assert len(made.prefill) == 16 and made.keep_prefill
    np.testing.assert_array_equal(made.bar_position, np.arange(16))
    whole = task(num_bars=1, primer=primer)
    assert len(whole.prefill) == 40
    np.testing.assert_array_equal(whole.bar_position, (np.arange(16) + 8) % 16)


def test_a_melody_is_padded_to_whole_bars_and_gives_the_time_signature():
    tune = melody([(0, 4, 40), (4, 20, 45)], 20, metre=(3, 4), first=8)
    made = task(fix=tune, num_bars=99)
    assert made.num_kept == made.num_steps == 4 + 24
    np.testing.assert_array_equal(made.bar_position[:5], [8, 9, 10, 11, 0])
    assert made.time_signatures == ((0, 3, 4),)


def test_a_harmonized_melody_keeps_its_title_in_a_network_without_tracks():
    made = task(fix=dataclasses.replace(TUNE, title="Morning hymn"))
    drawn = np.zeros((made.num_steps, MODEL.num_pitches, 3), np.uint8)
    piece = made.assemble(drawn, MODEL.min_pitch)
    assert (piece.title, piece.composer) == ("Morning hymn", "")
    assert piece.arranger == "Harmonized by poph_tf"


# Five bars, the last cut short, with a note across each bar line.
SONG = matrices.canonical(
    melody([(16 * k - 2, 16 * k + 2, 40 + k) for k in range(1, 5)], 72)
)


def test_infill_prefills_looks_ahead_and_puts_the_bars_back():
    made = task(primer=SONG, redraw="2-3", redraw_lookahead=1)
    assert len(made.prefill) == 16 and made.num_kept == 32 and made.num_steps == 48
    assert not made.clamped[:32].any() and (made.clamped[32:, :, 0] == 1).all()
    assert len(task(primer=SONG, redraw="5").bar_position) == 8
    assert len(task(primer=SONG, redraw="4", redraw_lookahead=9).bar_position) == 24
    silence = made.assemble(np.zeros((48, 14, 3), np.uint8), 36)
    expected = SONG.cells.copy()
    expected[16:48] = 0
    np.testing.assert_array_equal(silence.cells[:, :, :2], expected[:, :, :2])
    assert silence.time_signatures == SONG.time_signatures


def test_a_note_that_begins_after_redrawn_bars_still_begins_if_they_sound_on():
    song = melody([(16, 20, 40)], 32)
    drawn = np.zeros((32, 14, 3), np.uint8)
    drawn[:, 4] = (1, 0, 50)
    piece = task(primer=song, redraw="1").assemble(drawn, 36)
    assert matrices.onsets(piece.cells)[16, 40]
    # A note held into the next bar is now held from the new bars.
    piece = task(primer=melody([(8, 20, 40)], 32), redraw="1").assemble(drawn, 36)
    np.testing.assert_array_equal(piece.play[:20, 40], 1)
    assert not matrices.onsets(piece.cells)[16, 40]


# Composed pieces.

C_MAJOR = theory.key_outside("C major")


@pytest.fixture(scope="module")
def engine():
    return Engine(small.model("biaxial"), jit_compile=False)


@pytest.fixture(scope="module")
def descending():
    return Engine(small.model("attention_everywhere_descending"), False)


def compose(engine, **settings):
    return engine.compose(GenerationConfig(**settings))


def assert_kept(tune, piece):
    """All notes of the tune sound in the piece, with the same starts and ends."""
    notes = set(zip(*(x.tolist() for x in matrices.spans(tune.cells)), strict=True))
    found = zip(*(x.tolist() for x in matrices.spans(piece.cells)), strict=True)
    assert notes <= set(found)


LONG_TUNE = melody([(6 * k, 6 * k + 3 + k % 4, 42 + k % 5) for k in range(12)], 76)


@pytest.mark.parametrize("which", ["engine", "descending"])
def test_a_melody_sounds_in_every_piece_with_nothing_above_it(which, request):
    engine = request.getfixturevalue(which)
    settings = {"num_pieces": 3, "fix": LONG_TUNE, "particles": 4}
    settings |= {"seed": 1, "temperature": 0.9}
    pieces = compose(engine, **settings)
    assert len({piece.cells.tobytes() for piece in pieces}) == 3
    for piece in pieces:
        assert len(piece) == 80
        assert_kept(LONG_TUNE, piece)
        sounding = LONG_TUNE.play.any(axis=1)
        highest = 127 - LONG_TUNE.play[:, ::-1].argmax(axis=1)
        top = 127 - piece.play[:76, ::-1].argmax(axis=1)
        np.testing.assert_array_equal(top[sounding], highest[sounding])
        assert piece.play[:76].sum() > LONG_TUNE.play.sum()
    again = compose(engine, **settings)
    assert all(a == b for a, b in zip(pieces, again, strict=True))


def test_infill_keeps_the_rest_and_particles_make_the_new_bars_fit_it():
    engine = Engine(small.coupled_model(strength=4.0), jit_compile=False)
    song = small.random_piece(3, 64, high=38)
    fits = []
    for num_particles in (1, 8):
        settings = {"num_pieces": 100, "particles": num_particles, "seed": 2}
        pieces = compose(engine, primer=song, redraw="2", **settings)
        for piece in pieces:
            np.testing.assert_array_equal(piece.cells[:16], song.cells[:16])
            np.testing.assert_array_equal(piece.play[32:], song.play[32:])
            np.testing.assert_array_equal(piece.bar_position, song.bar_position)
            onsets = matrices.onsets(song.cells)[32:]
            assert (matrices.onsets(piece.cells)[32:] >= onsets).all()
        assert len({piece.cells.tobytes() for piece in pieces}) > 10
        frames = small.frames_of(pieces, num_pitches=2)
        fits.append(small.log_probability(engine.model, frames)[:, 32:].sum(axis=1))
    error = np.sqrt(sum(fit.var() / len(fit) for fit in fits))
    assert fits[1].mean() - fits[0].mean() > 3 * error


def test_the_candidate_in_key_or_the_likeliest_is_kept(engine):
    settings = {"num_pieces": 3, "num_bars": 2, "seed": 5, "best_of": 4}
    settings |= {"key": "C major"}
    by_key = compose(engine, **settings, best_by="key")
    likeliest = compose(engine, **settings, best_by="likelihood")
    shares = [
        candidates.out_of_key(np.stack([p.play for p in pieces]), 0, C_MAJOR)
        for pieces in (by_key, likeliest)
    ]
    fits = [
        small.log_probability(engine.model, small.frames_of(pieces)).sum(axis=1)
        for pieces in (by_key, likeliest)
    ]
    assert (shares[0] <= shares[1]).all() and shares[0].sum() < shares[1].sum()
    assert (fits[1] >= fits[0] - 1e-3).all() and fits[1].sum() > fits[0].sum() + 0.1


def test_the_share_outside_a_key_is_counted_by_hand():
    play = np.zeros((2, 3, 4), np.uint8)  # pitches 60 to 63: C, C#, D, Eb
    play[0, :, 0] = 1
    play[0, 0, 1] = 1
    np.testing.assert_allclose(candidates.out_of_key(play, 60, C_MAJOR), [0.25, 0])
    # C and C# both lie in Db major and Ab major.
    np.testing.assert_allclose(candidates.out_of_key(play, 60), [0, 0])


def test_a_piece_that_is_chosen_at_the_end_cannot_be_streamed(engine):
    for settings in ({"best_of": 2}, {"fix": TUNE}):
        request = GenerationConfig(**settings).resolve(engine.model)
        with pytest.raises(InputError, match="Streaming requires best_of=1"):
            next(engine.stream(request))
