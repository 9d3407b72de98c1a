"""Measures of voice leading, harmony and form on pieces with known answers."""

import itertools

import numpy as np
import pytest
from tunes import piece, tune

from poph_tf.evaluation import form, harmony, shuffling, voice_leading

TONIC, SUBDOMINANT, DOMINANT = (
    (48, 55, 64, 72),
    (53, 57, 65, 72),
    (55, 59, 65, 74),
)  # C, F, G7 in C major


def chorale(*chords, length=4):
    """Chords of `length` steps each."""
    notes = [
        (k * length, (k + 1) * length, pitch)
        for k, chord in enumerate(chords)
        for pitch in chord
    ]
    return piece(*notes, steps=len(chords) * length)


def test_a_held_chord_is_one_chord_and_silence_is_none():
    assert voice_leading.chords(chorale(TONIC, TONIC, (), TONIC, DOMINANT)) == [
        TONIC,
        TONIC,
        DOMINANT,
    ]


def test_parallel_fifths_and_octaves_are_counted_for_each_pair_of_voices():
    # Bass and tenor in fifths, bass and soprano in octaves, all up by a tone.
    up = tuple(pitch + 2 for pitch in (48, 55, 63, 72))
    counts = voice_leading.count_parallels((48, 55, 63, 72), up)
    assert counts == (2, 1)


def test_held_voices_and_contrary_motion_make_no_parallels():
    assert voice_leading.count_parallels((48, 55, 64, 72), (48, 55, 65, 74)) == (0, 0)
    # A fifth becomes a twelfth: the lower voice falls, the upper one rises.
    assert not voice_leading.is_parallel((53, 60), (48, 67))


def test_parallels_are_a_rate_per_100_changes():
    bad = (48, 55, 63, 72), (50, 57, 65, 74)
    played = chorale(*bad, (50, 59, 65, 74), (50, 57, 65, 74))
    # Bass and tenor, bass and soprano in the first of three changes.
    assert voice_leading.parallels(played) == pytest.approx(100 * 2 / 3)
    assert voice_leading.outer_parallels(played) == pytest.approx(100 / 3)
    assert np.isnan(voice_leading.parallels(chorale((48,))))


def test_four_pitches_are_a_share_of_the_steps_that_sound():
    assert (
        voice_leading.four_pitches_share(chorale(TONIC, (), DOMINANT, (48, 52, 55)))
        == 2 / 3
    )
    assert voice_leading.final_voices(chorale(TONIC, (48, 52, 55))) == 3.0


@pytest.mark.parametrize("shift", range(12))
def test_the_key_of_a_cadence_follows_its_transposition(shift):
    moved = chorale(
        *[tuple(p + shift for p in c) for c in (TONIC, SUBDOMINANT, DOMINANT, TONIC)]
    )
    assert harmony.key_by_profile(moved.play) == shift


def test_relative_keys_are_no_fifths_apart_and_the_tritone_six():
    assert harmony.fifths_between(0, 12 + 9) == 0  # C major and A minor
    assert harmony.fifths_between(3, 12 + 0) == 0  # E flat major and C minor
    assert harmony.fifths_between(0, 6) == 6
    for one, other in itertools.product(range(24), repeat=2):
        assert harmony.fifths_between(one, other) == harmony.fifths_between(other, one)


def test_drift_is_the_mean_move_of_the_key_from_window_to_window():
    def eight_bars(shift):
        return [
            tuple(p + shift for p in c) for c in (TONIC, SUBDOMINANT, DOMINANT, TONIC)
        ] * 8

    stays = chorale(*eight_bars(0), *eight_bars(0))
    # C major, then D major: two fifths.
    moves = chorale(*eight_bars(0), *eight_bars(2))
    assert harmony.key_drift(stays) == 0.0
    assert harmony.key_drift(moves) == 2.0


def test_triads_are_complete_whatever_is_doubled_and_sevenths_are_none():
    assert (
        harmony.complete_triads(chorale(TONIC, SUBDOMINANT, DOMINANT, (48, 60, 64, 72)))
        == 2 / 4
    )


def test_clashes_are_pitch_classes_a_semitone_apart_on_the_beat():
    assert harmony.semitone_clashes(chorale(TONIC, (48, 59, 60, 64))) == 1 / 2
    # A major seventh in any octave counts too, a passing note between beats does not.
    assert harmony.semitone_clashes(chorale((48, 55, 59, 64))) == 1.0
    passing = piece((0, 4, 48), (0, 4, 55), (2, 4, 59), steps=4)
    assert harmony.semitone_clashes(passing) == 0.0


def test_endings():
    perfect, plagal = (
        chorale(TONIC, SUBDOMINANT, DOMINANT, TONIC),
        chorale(TONIC, DOMINANT, SUBDOMINANT, TONIC),
    )
    open_end = chorale(TONIC, SUBDOMINANT, TONIC, DOMINANT)
    pieces = (perfect, plagal, open_end)
    assert [harmony.ends_on_tonic_triad(p) for p in pieces] == [1.0, 1.0, 0.0]
    assert [harmony.ends_with_cadence(p) for p in pieces] == [1.0, 0.0, 0.0]
    # A cadence in a key other than the piece's counts.
    modulating = chorale(*[TONIC] * 6, (50, 57, 60, 66), (43, 55, 59, 62))
    assert harmony.ends_on_tonic_triad(modulating) == 0.0
    assert harmony.ends_with_cadence(modulating) == 1.0
    # The leading-note triad B D F makes a cadence too.
    assert (
        harmony.ends_with_cadence(chorale(TONIC, SUBDOMINANT, (50, 53, 59, 65), TONIC))
        == 1.0
    )


def test_the_melody_is_the_notes_that_begin_as_the_highest():
    # The note that begins below the held G is not part of it.
    played = piece((0, 8, 60), (0, 8, 67), (4, 8, 62), (8, 12, 64), steps=12)
    assert [x.tolist() for x in form.melody(played.cells)] == [[0, 8], [67, 64]]


def test_a_transposed_figure_returns_and_a_repeated_note_is_none():
    theme = [60, 62, 64, 65]
    moved = [pitch + 7 for pitch in theme]
    played = piece(*tune([*theme, 59, *moved]), steps=36)
    # Nine notes have six figures; the last is the first, a fifth higher.
    assert form.returning_figures(played) == pytest.approx(1 / 6)
    assert np.isnan(form.returning_figures(piece(*tune([60] * 6), steps=24)))


def test_bars_resemble_by_pitch_class_and_onset():
    bar, other = [60, 62, 64, 65], [67, 69, 71, 72]
    octave_higher = [pitch + 12 for pitch in bar]
    played = piece(*tune([*bar, *other, *octave_higher]), steps=48)
    assert form.resembling_bars(played) == 1 / 2
    assert form.distinct_bars(played) == pytest.approx(2 / 3)
    # Bars after the first 32 do not count.
    longer = piece(*tune([*bar, *other] * 34), steps=68 * 16)
    assert form.distinct_bars(longer) == 2 / 32


def test_chord_changes_are_counted_in_a_bar():
    assert voice_leading.chord_changes_per_bar(chorale(TONIC, TONIC, DOMINANT)) == (
        16 * 2 / 12
    )


REAL = chorale(*[TONIC, SUBDOMINANT, TONIC, SUBDOMINANT, DOMINANT, TONIC] * 4)


@pytest.mark.parametrize("how", shuffling.SHUFFLES)
def test_a_shuffled_piece_keeps_its_length_and_what_the_shuffle_leaves(how):
    spoilt = shuffling.shuffle(REAL, how, seed=1)
    assert len(spoilt) == len(REAL) and spoilt != REAL
    cells = [piece.cells[..., 0].astype(int) for piece in (REAL, spoilt)]
    if how == "bars":
        assert (cells[0].sum(axis=0) == cells[1].sum(axis=0)).all()
    elif how == "pitches":
        sounding = [grid.any(axis=1) for grid in cells]
        assert (sounding[0] == sounding[1]).all()
    else:
        lower = cells[1][:, :72], cells[0][:, :72]
        assert (lower[0] == lower[1]).all()
        late, former = cells[1][8:, 72:].sum(1), cells[0][:-8, 72:].sum(1)
        assert (late == former).all()


@pytest.mark.parametrize("seed", range(3))
def test_measures_tell_real_from_shuffled(seed):
    spoilt = {how: shuffling.shuffle(REAL, how, seed) for how in shuffling.SHUFFLES}
    for how in ("pitches", "voices"):
        assert harmony.complete_triads(REAL) > harmony.complete_triads(spoilt[how])
        assert harmony.semitone_clashes(REAL) < harmony.semitone_clashes(spoilt[how])
    assert form.returning_figures(REAL) > form.returning_figures(spoilt["bars"])
    assert form.returning_figures(REAL) > form.returning_figures(spoilt["pitches"])
    assert harmony.ends_with_cadence(REAL) == 1.0
    assert harmony.ends_with_cadence(spoilt["pitches"]) == 0.0
