"""Music in a model's tracks: which part goes where, what is given, what is drawn."""

import dataclasses

import numpy as np
import pytest

from poph_tf.config import GenerationConfig, ModelConfig
from poph_tf.config.tracks import CHOIR
from poph_tf.data import credits, matrices, midi
from poph_tf.data.matrices import Matrices, TrackCells
from poph_tf.errors import InputError
from poph_tf.generation import arrangement, track_tasks
from poph_tf.generation.conditions import drawn_styles
from poph_tf.generation.request import resolve

SATB = CHOIR
MODEL = ModelConfig(tracks=SATB, min_pitch=36, num_pitches=48)


def part(name, notes, num_steps=32):
    """Makes a track of (start, end, pitch)."""
    cells = np.zeros((num_steps, 128, 3), np.uint8)
    for start, end, pitch in notes:
        cells[start:end, pitch] = (1, 0, 90)
        cells[start, pitch, 1] = start > 0 and cells[start - 1, pitch, 0]
    return TrackCells(name, 0, False, cells)


def music(*parts, first=0):
    cells = np.maximum.reduce([each.cells for each in parts])
    bars = ((np.arange(len(cells)) + first) % 16).astype(np.uint8)
    return Matrices(cells, bars, time_signatures=((0, 4, 4),), tracks=parts)


def long_note(name, pitch):
    return part(name, [(0, 32, pitch)])


WHOLE = music(
    *(long_note(t.name, p) for t, p in zip(SATB, (72, 67, 60, 48), strict=True))
)


def arrange(piece, table=(), single="soprano"):
    return arrangement.arrange(piece, MODEL, table, single)


def pitches(found):
    """Returns the pitches of each track in the first step."""
    return [np.flatnonzero(track[:, 0]).tolist() for track in found.cells[0]]


def test_parts_go_to_tracks_by_their_names_in_any_order():
    piece = music(*WHOLE.tracks[::-1])
    assert pitches(arrange(piece)) == [[72], [67], [60], [48]]


def test_a_table_says_which_part_is_which_and_the_rest_is_not_used():
    piece = music(long_note("Vln 1", 72), long_note("Vc", 50), long_note("Horn", 60))
    found = arrange(piece, ["vln 1:soprano", "Vc:bass"])
    assert pitches(found) == [[72], [], [], [50]]
    assert found.present.tolist() == [True, False, False, True]
    assert found.changes == ("Not used: Horn, 1 of 3 notes (33%).",)


@pytest.mark.parametrize("entry", ["Flute:alto", "alto", "Vln 1:choir"])
def test_a_wrong_entry_of_the_table_is_refused(entry):
    piece = music(long_note("Vln 1", 72), long_note("Vc", 50))
    with pytest.raises(InputError, match="the music has Vln 1, Vc|no track 'choir'"):
        arrange(piece, [entry])


def test_as_many_parts_as_tracks_are_matched_by_height():
    names = ("a", "b", "c", "d")
    parts = [long_note(n, p) for n, p in zip(names, (50, 72, 60, 67), strict=True)]
    assert pitches(arrange(music(*parts))) == [[72], [67], [60], [50]]
    with pytest.raises(InputError, match="parts a, b, and the model.*say with map"):
        arrange(music(*parts[:2]))


def test_of_several_notes_at_once_the_outer_one_is_kept_and_it_says_so():
    chord = part("x", [(0, 32, 60), (4, 8, 64)])
    found = arrange(music(chord))
    assert np.flatnonzero(found.cells[4, 0, :, 0]).tolist() == [64]
    assert found.changes == (
        "soprano has several notes at once: the highest is kept, 1 of 2 notes (50%) "
        "are left out or cut.",
    )
    low = arrange(music(chord), single="bass")
    assert np.flatnonzero(low.cells[4, 3, :, 0]).tolist() == [60]


def test_music_beyond_the_models_pitches_moves_by_octaves():
    found = arrange(music(long_note("x", 96)))
    assert pitches(found)[0] == [72]
    assert found.changes == (
        "1 of 1 notes (100%) lie outside the model's pitches, 36 to 83: all are moved "
        "2 octaves down.",
    )
    # No octave shift fits all notes: most move together, as little as possible.
    wide = part("x", [(0, 4, 20), (4, 8, 97), (8, 12, 98)])
    found = arrange(music(wide))
    assert [np.flatnonzero(found.cells[t, 0, :, 0]) for t in (0, 4, 8)] == [44, 73, 74]
    assert found.changes[0].endswith(
        "all are moved 2 octaves down; what still lies outside is moved by octaves."
    )
    # Where a note moved alone meets one in its place, the one in its place sounds.
    meets = part("x", [(0, 4, 28), (0, 4, 64), (4, 8, 97), (8, 12, 98), (12, 16, 99)])
    meets.cells[:4, 28, 2] = 50  # the volume tells which it is
    found = arrange(music(meets)).cells[0, 0]
    assert np.flatnonzero(found[:, 0]).tolist() == [40] and found[40, 2] == 90


@pytest.mark.parametrize(
    ("single", "pitch", "moved", "way"),
    [
        ("soprano", 48, 60, "low for soprano"),
        ("soprano", 24, 60, "low for soprano"),
        # 54, three voices of six semitones above 36, is high enough.
        ("soprano", 54, 54, ""),
        ("soprano", 83, 83, ""),
        # Out of range, but no voice has to fit above a soprano.
        ("soprano", 96, 72, "outside the model's pitches"),
        ("bass", 36, 36, ""),
        ("bass", 72, 60, "high for bass"),
        ("tenor", 40, 52, "low for tenor"),
    ],
)
def test_a_voice_alone_moves_to_where_the_others_fit(single, pitch, moved, way):
    piece = music(long_note("x", pitch))
    found = arrangement.arrange(piece, MODEL, (), single, make_room=True)
    place = [track.name for track in SATB].index(single)
    assert pitches(found)[place] == [moved]
    assert (way == "") == (found.changes == ())
    for line in found.changes:
        assert way in line
        assert f": all are moved {abs(moved - pitch) // 12} octave" in line


def test_several_voices_and_music_that_goes_on_stay_where_they_are():
    low = music(long_note("soprano", 50), long_note("bass", 40))
    found = arrangement.arrange(low, MODEL, (), "soprano", make_room=True)
    assert pitches(found) == [[50], [], [], [40]] and not found.changes
    tune = music(long_note("soprano", 48))
    goes_on = GenerationConfig(task="continue", music=tune, num_bars=1)
    before = resolve(goes_on, MODEL).task.prefill.cells
    assert np.flatnonzero(before[0, 0, :, 0]).tolist() == [48]
    given = resolve(GenerationConfig(task="harmonize", music=tune), MODEL).task.given
    assert np.flatnonzero(given[0, 0, :, 1]).tolist() == [60 - MODEL.min_pitch]


def test_a_few_notes_beyond_the_models_pitches_move_alone():
    spans = [(2 * k, 2 * k + 2, 60 + k % 12) for k in range(60)]
    # The last note lands on a note that is in range, which stays.
    found = arrange(
        music(part("x", [*spans[:-1], (118, 120, 95), (118, 119, 83)], 120))
    )
    play = found.cells[:, 0, :, 0]
    for start, _, pitch in spans[:-1]:
        assert np.flatnonzero(play[start]) == [pitch]
    assert np.flatnonzero(play[118]) == np.flatnonzero(play[119]) == [83]
    assert found.changes[0] == (
        "1 of 61 notes (2%) lie outside the model's pitches, 36 to 83: they are moved "
        "by octaves."
    )
    small = dataclasses.replace(MODEL, num_pitches=11)
    with pytest.raises(InputError, match="36 to 46, less than an octave"):
        arrangement.arrange(music(part("x", spans, 120)), small, (), "soprano")
    # A note that one octave brings into range needs no other shift.
    fits = arrangement.arrange(music(long_note("x", 57)), small, (), "soprano")
    assert pitches(fits)[0] == [45]


def task(**settings):
    return track_tasks.from_config(GenerationConfig(**settings), MODEL)


def free(made):
    """Returns names of the tracks drawn anywhere in the drawn steps."""
    given = made.clamped[:, :, 0, 0]
    return [t.name for t, g in zip(SATB, given.T, strict=True) if not g.all()]


SOPRANO = music(long_note("soprano", 72))


@pytest.mark.parametrize(
    ("settings", "drawn"),
    [
        ({"task": "harmonize", "music": SOPRANO}, ["alto", "tenor", "bass"]),
        ({"fix": SOPRANO}, ["alto", "tenor", "bass"]),
        ({"task": "accompany", "music": WHOLE}, ["alto", "tenor", "bass"]),
        ({"given": ("soprano", "bass"), "music": WHOLE}, ["alto", "tenor"]),
        ({"task": "vary", "music": WHOLE, "draw": ("alto",)}, ["alto"]),
        ({"music": WHOLE, "draw": ("alto", "tenor")}, ["alto", "tenor"]),
        ({"task": "reharmonize", "music": WHOLE}, ["alto", "tenor", "bass"]),
    ],
)
def test_each_task_gives_some_tracks_and_draws_the_others(settings, drawn):
    made = task(**settings)
    assert free(made) == drawn and made.num_kept == 32
    np.testing.assert_array_equal(made.given, made.clamped)
    np.testing.assert_array_equal(made.bars_left, [1] * 16 + [0] * 16)


@pytest.mark.parametrize(
    ("settings", "verb"),
    [
        ({"task": "harmonize", "music": SOPRANO}, "Harmonized"),
        ({"task": "accompany", "music": WHOLE}, "Accompanied"),
        ({"task": "vary", "music": WHOLE, "draw": ("alto",)}, "Varied"),
        ({"task": "reharmonize", "music": WHOLE}, "Reharmonized"),
        ({"task": "infill", "music": WHOLE, "bars": "2"}, "Completed"),
        ({"task": "continue", "music": WHOLE}, "Continued"),
    ],
)
def test_a_piece_of_given_music_keeps_its_title_and_composer(settings, verb):
    named = {"title": "Morning hymn", "composer": "A. Singer"}
    given = dataclasses.replace(settings["music"], **named)
    assert credits.of(drawn(**settings | {"music": given})) == {
        **named,
        "arranger": f"{verb} by poph_tf",
    }


def drawn(**settings):
    made = task(**settings)
    cells = np.zeros((made.num_steps, 4, MODEL.num_pitches, 3), np.uint8)
    return made.assemble(cells, MODEL.min_pitch)


def test_whoever_is_named_already_is_not_named_again():
    composed = drawn(num_bars=1)
    assert credits.of(composed) == {"title": "", "composer": "poph_tf", "arranger": ""}
    again = drawn(
        task="reharmonize", music=dataclasses.replace(WHOLE, composer="poph_tf")
    )
    assert credits.of(again) == credits.of(composed)
    arranged = dataclasses.replace(WHOLE, arranger="B. Player")
    once = drawn(task="reharmonize", music=arranged)
    assert once.arranger == "B. Player; Reharmonized by poph_tf"
    twice = drawn(
        task="vary",
        draw=("alto",),
        music=dataclasses.replace(WHOLE, arranger=once.arranger),
    )
    assert twice.arranger == once.arranger


def test_infill_draws_bars_and_knows_what_follows():
    made = task(task="infill", music=WHOLE, bars="1", given=("bass",))
    assert len(made.prefill) == 0 and made.num_kept == 16 and len(made.after) == 16
    assert free(made) == ["soprano", "alto", "tenor"]
    assert made.given[16:, :, 0, 0].all() and not made.given[:16, :3].any()
    drawn = np.zeros((16, 4, 48, 3), np.uint8)
    piece = made.assemble(drawn, 36)
    assert [track.name for track in piece.tracks] == [track.name for track in SATB]
    np.testing.assert_array_equal(piece.tracks[0].cells[16:, 72, 0], 1)
    assert not piece.tracks[0].cells[:16].any()


def test_a_lasso_of_steps_and_tracks_is_drawn():
    made = task(music=WHOLE, steps="4-9", draw=("alto", "tenor"))
    assert len(made.prefill) == 4 and made.num_kept == 6 and len(made.after) == 22
    assert free(made) == ["alto", "tenor"]
    with pytest.raises(InputError, match="steps must be below 32, got '4-32'"):
        task(music=WHOLE, steps="4-32")


def test_continue_gives_nothing_and_counts_the_bars_to_the_end():
    made = task(task="continue", music=WHOLE, num_bars=2)
    assert made.given is None and made.clamped is None and len(made.prefill) == 32
    np.testing.assert_array_equal(made.bars_left[::16], [3, 2, 1, 0])
    endless = task(task="continue", music=WHOLE, num_bars=2, ending=False)
    assert (endless.bars_left == -1).all()


def test_the_other_tracks_end_with_the_melody_on_its_beat():
    tune = music(part("soprano", [(0, 28, 70)], 28))
    made = task(task="harmonize", music=tune)
    assert made.num_steps == made.num_kept == 28 and not len(made.after)
    np.testing.assert_array_equal(made.bars_left[[15, 16, 27]], [1, 0, 0])


def test_a_pickup_is_not_a_bar_of_its_own():
    tune = music(part("soprano", [(0, 20, 70)], 20), first=12)
    made = task(fix=tune)
    np.testing.assert_array_equal(made.bar_position[:5], [12, 13, 14, 15, 0])
    np.testing.assert_array_equal(made.bars_left[[0, 4]], [1, 0])


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"task": "vary", "music": WHOLE}, "vary needs tracks to draw, of soprano"),
        ({"task": "infill", "music": WHOLE}, "infill needs bars"),
        ({"music": SOPRANO, "given": ("bass", "alto")}, "no bass|no alto"),
        ({"music": WHOLE, "draw": ("flute",), "task": "vary"}, "no track 'flute'"),
        ({"music": WHOLE, "given": tuple(t.name for t in SATB)}, "leave one to draw"),
        ({"task": "harmonize"}, "The task harmonize needs music"),
        ({"task": "continue", "music": WHOLE, "bars": "1"}, "draws whole bars"),
        ({"task": "compose", "music": WHOLE}, "compose takes no music"),
    ],
)
def test_tasks_that_cannot_be_are_refused(settings, words):
    with pytest.raises(InputError, match=words):
        task(**settings)


@pytest.mark.parametrize(
    ("model", "settings", "words"),
    [
        (
            MODEL,
            {"min_probability": 0.1},
            "min_probability does nothing in a model of voices: use top_p",
        ),
        (ModelConfig(), {"top_p": 0.9}, "with chords: use min_probability"),
        (MODEL, {"form_strength": 2.0}, "form_strength .* does not read the form"),
        (MODEL, {"chord_strength": 2.0}, "chord_strength .* does not read chords"),
        (ModelConfig(), {"task": "vary", "music": WHOLE}, "needs a model with tracks"),
        (ModelConfig(), {"fix": WHOLE, "given": ("alto",)}, "given is for tracks"),
    ],
)
def test_what_a_model_cannot_do_is_refused(model, settings, words):
    with pytest.raises(InputError, match=words):
        resolve(GenerationConfig(**settings), model)


def test_each_piece_has_one_style_whatever_is_drawn_beside_it():
    model = dataclasses.replace(MODEL, styles=("a", "b"), style_shares=(0.25, 0.75))
    many = resolve(GenerationConfig(num_pieces=200, best_of=2), model).controls.style
    np.testing.assert_array_equal(many.sum(axis=1), 1)
    assert set(np.unique(many)) == {0, 1}
    np.testing.assert_array_equal(many[::2], many[1::2])  # candidates of a piece
    # A quarter of 200 pieces is 50, give or take 6 (one standard deviation).
    assert abs(many[::2, 0].sum() - 50) < 25
    few = resolve(GenerationConfig(num_pieces=3), model).controls.style
    np.testing.assert_array_equal(few, many[:6:2])
    named = resolve(GenerationConfig(num_pieces=3, style="a"), model).controls.style
    np.testing.assert_array_equal(named, [[1, 0]] * 3)


def test_a_style_without_a_share_is_never_drawn():
    seeds = np.stack([np.zeros(50), np.arange(50)], axis=1).astype(np.int32)
    found = drawn_styles(seeds, np.array([0.0, 1.0, 0.0], np.float32))
    np.testing.assert_array_equal(found[:, 1], 1)


def test_chords_make_other_pitches_less_likely_bar_by_bar():
    request = resolve(GenerationConfig(num_bars=3, chords="C Am", num_pieces=1), MODEL)
    bias = request.chunk(0, 48).pitch_bias[0]
    for step, inside in ((0, {0, 4, 7}), (16, {9, 0, 4}), (32, {0, 4, 7})):
        kept = {(36 + k) % 12 for k in np.flatnonzero(bias[step] == 0)}
        assert kept == inside
    blank = resolve(GenerationConfig(num_bars=1, chords=" ", num_pieces=1), MODEL)
    assert blank.chunk(0, 16).pitch_bias is None
    with pytest.raises(InputError, match="chords must be roots .* got 'H'"):
        GenerationConfig(chords="C H")


def test_notes_between_the_sixteenths_are_told_to_be_moved(tmp_path):
    import mido

    file = mido.MidiFile(ticks_per_beat=480)
    track = mido.MidiTrack()
    for _ in range(3):  # triplets of eighths
        track.append(mido.Message("note_on", note=70, velocity=80, time=0))
        track.append(mido.Message("note_off", note=70, time=160))
    file.tracks.append(track)
    file.save(tmp_path / "a.mid")
    made = task(fix=str(tmp_path / "a.mid"))
    assert "2 of 3 notes (67%) begin between two sixteenths" in made.changes[0]


def test_a_file_with_all_voices_in_one_part_is_separated_into_them(tmp_path):
    merged = dataclasses.replace(WHOLE, tracks=())
    midi.write(matrices.to_sequence(merged), tmp_path / "a.mid")
    made = task(task="vary", music=str(tmp_path / "a.mid"), draw=("alto",))
    assert free(made) == ["alto"] and not made.changes
    given = made.given[0, :, :, 1]
    assert [np.flatnonzero(row).tolist() for row in given] == [[36], [], [24], [12]]


def test_a_piece_with_tracks_is_written_with_their_names(tmp_path):
    piece = matrices.from_stack(WHOLE.stack(SATB), SATB, WHOLE.bar_position)
    sequence = matrices.to_sequence(piece)
    assert [info.name for info in sequence.instrument_infos] == [t.name for t in SATB]
