"""Measures, distances and copies against numbers worked by hand."""

import math

import numpy as np
import pytest
from tunes import piece, tune, tune_piece

from poph_tf.data import matrices
from poph_tf.evaluation import copying, distances, measures

C_MAJOR = (60, 64, 67)
SILENCE = piece(steps=32)
TRIAD_AND_REST = piece(*[(0, 12, pitch) for pitch in C_MAJOR])


def test_a_bar_is_empty_if_nothing_sounds_in_it():
    assert measures.empty_bar_share(TRIAD_AND_REST) == 1 / 2
    assert measures.empty_bar_share(SILENCE) == 1
    # Held over the bar line: the second bar is not empty.
    assert measures.empty_bar_share(piece((8, 17, 60))) == 0


def test_an_upbeat_is_a_bar_of_its_own():
    music = piece((0, 4, 60), steps=20)
    upbeat = matrices.Matrices(music.cells, np.roll(music.bar_position, 4))
    upbeat.bar_position[:4] = (12, 13, 14, 15)
    assert measures.bars(upbeat) == [(0, 4), (4, 20)]
    assert measures.empty_bar_share(upbeat) == 1 / 2


def test_beats_are_quarters_from_the_bar_line():
    # 3 of the 8 beats of two bars sound.
    assert measures.empty_beat_share(TRIAD_AND_REST) == 5 / 8
    # Bars of 6 steps: beats of 4 and 2 steps.
    assert measures.beats(piece(steps=12, bar_steps=6)) == [
        (0, 4),
        (4, 6),
        (6, 10),
        (10, 12),
    ]


def test_used_pitch_classes_are_counted_per_bar_over_octaves():
    # Bar 1: C, E, G; bar 2: C alone, in two octaves.
    notes = [(0, 4, pitch) for pitch in C_MAJOR] + [(16, 20, 48), (20, 24, 72)]
    assert measures.used_pitch_classes(piece(*notes)) == (3 + 1) / 2


def test_polyphony_leaves_silent_steps_out():
    # Four steps of three pitches, four of one, the rest silent.
    notes = [(0, 4, pitch) for pitch in C_MAJOR] + [(4, 8, 60)]
    assert measures.polyphony(piece(*notes)) == (4 * 3 + 4 * 1) / 8


def test_scale_consistency_is_the_share_of_notes_in_the_best_key():
    # The C major scale and one F sharp: 7 of 8 (in G major too).
    music = tune_piece([60, 62, 64, 65, 67, 69, 71, 66])
    assert measures.scale_consistency(music) == pytest.approx(7 / 8)


def test_out_of_key_share_counts_cells_not_notes():
    # Seven notes of one quarter in C major and an F sharp of seven quarters:
    # in G major 13 quarters fit, only F does not.
    notes = tune([60, 62, 64, 65, 67, 69, 71]) + [(28, 56, 66)]
    assert measures.out_of_key_share(piece(*notes, steps=56)) == pytest.approx(1 / 14)


def test_entropy_of_four_equal_pitch_classes_is_two_bits():
    assert measures.pitch_class_entropy(tune_piece([60, 62, 64, 65])) == 2
    assert measures.pitch_class_entropy(tune_piece([60, 72, 48])) == 0


def test_groove_consistency_counts_steps_that_differ():
    # Bar 1 has onsets at 0, 4, 8; bar 2 at 0, 4, 12: two of 16 steps differ.
    notes = [(0, 2, 60), (4, 6, 60), (8, 9, 60), (16, 18, 62), (20, 21, 60)]
    music = piece(*notes, (28, 30, 60))
    assert measures.groove_consistency(music) == 1 - 2 / 16


def test_notes_per_bar_counts_replays():
    assert measures.notes_per_bar(piece((0, 8, 60), (8, 16, 60), steps=16)) == 2


def test_what_is_stuck_silent_repeated_or_drifting_shows():
    looped = tune_piece([60, 62, 64, 65] * 4)
    assert measures.repeated_bar_share(looped) == 1
    assert measures.density_drift(looped) == pytest.approx(1, abs=0.21)
    stuck = piece((0, 30, 60), (2, 4, 64))
    assert measures.longest_note_steps(stuck) == 30
    assert measures.longest_silence_steps(piece((0, 4, 60), (20, 22, 60))) == 16
    # 30 steps: four onsets in the first ten, two in the last ten.
    fading = piece(*tune([60, 62, 64, 65], 2), (20, 22, 60), (24, 26, 62), steps=30)
    assert measures.density_drift(fading) == 0.5


def test_silence_has_no_measure_but_emptiness():
    values = {name: figure(SILENCE) for name, figure in measures.MEASURES.items()}
    known = {name for name, value in values.items() if not math.isnan(value)}
    assert known == {
        "empty_bar_share",
        "empty_beat_share",
        "used_pitch_classes",
        "groove_consistency",
        "notes_per_bar",
        "longest_silence_steps",
        "repeated_bar_share",
    }
    assert values["longest_silence_steps"] == 32


def test_histograms_count_notes_lengths_and_moves():
    cells = piece((0, 4, 60), (4, 6, 67), (6, 30, 60), (6, 8, 40)).cells
    assert distances.pitch_classes(cells).nonzero()[0].tolist() == [0, 4, 7]
    assert distances.pitch_classes(cells)[0] == 2
    lengths = distances.note_lengths(cells)
    assert (lengths[1], lengths[3], lengths[15], lengths.sum()) == (2, 1, 1, 4)
    intervals = distances.onset_intervals(cells)
    assert (intervals[3], intervals[1], intervals.sum()) == (1, 1, 2)
    moves = distances.pitch_intervals(cells)
    # A fifth up, a fifth down; the lower voice does not count.
    assert moves.nonzero()[0].tolist() == [12 - 7, 12 + 7]


def test_the_top_voice_is_not_left_for_what_moves_below_it():
    # C5 is held while E4 and G4 are struck; then D5.
    cells = piece((0, 8, 72), (2, 4, 64), (4, 6, 67), (8, 12, 74)).cells
    assert distances.pitch_intervals(cells).nonzero()[0].tolist() == [12 + 2]


def test_distances_are_euclidean():
    one = np.array([[1.0, 0.0], [0.0, 1.0]])
    other = np.array([[1.0, 0.0]])
    np.testing.assert_allclose(distances.between(one, other), [0, math.sqrt(2)])
    np.testing.assert_allclose(distances.within(one), [math.sqrt(2)])


def test_density_of_two_distances_is_that_of_two_gaussians():
    # Deviation of 0 and 2 is sqrt(2); bandwidth sqrt(2) * 2 ** -0.2 = 1.2311.
    width = math.sqrt(2) * 2**-0.2
    peak = 1 / (width * math.sqrt(2 * math.pi))
    wanted = peak * (1 + math.exp(-0.5 * (2 / width) ** 2)) / 2
    found = distances.density([0.0, 2.0], np.array([0.0]))
    np.testing.assert_allclose(found, [wanted], rtol=1e-12)


def test_densities_have_area_one():
    values = np.random.default_rng(0).normal(3, 1, 20000)
    grid = distances.common_grid(values)
    area = np.trapezoid(distances.density(values, grid), grid)
    assert area == pytest.approx(1, abs=1e-3)


def test_overlap_and_divergence_of_shifted_normals_are_the_known_ones():
    random = np.random.default_rng(1)
    one, other = random.normal(0, 1, 5000), random.normal(1, 1, 5000)
    # Two unit normals one apart: overlap 2 * Phi(-1/2) = 0.6171, divergence 1/2.
    assert distances.overlap_area(one, other) == pytest.approx(0.617, abs=0.02)
    assert distances.kl_divergence(one, other) == pytest.approx(0.5, abs=0.08)


def test_the_same_distances_overlap_wholly():
    values = np.linspace(0, 1, 50)
    assert distances.overlap_area(values, values) == pytest.approx(1, abs=1e-3)
    assert distances.kl_divergence(values, values) == 0


def test_far_distances_do_not_overlap_and_diverge_finitely():
    near, far = np.linspace(0, 1, 50), np.linspace(100, 101, 50)
    assert distances.overlap_area(near, far) == pytest.approx(0, abs=1e-6)
    assert 1 < distances.kl_divergence(near, far) < math.log(1e10)


def test_too_few_pieces_have_no_distances():
    counts = np.ones((2, 12))
    assert set(distances.compare(counts, counts).values()) == {None}


def test_a_copy_is_found_at_another_pitch_and_place():
    original = tune_piece([60, 62, 64, 65, 67, 69, 71, 72])
    # Four of its notes a fourth up, after two unrelated notes.
    copied = tune_piece([50, 80, 69, 70, 72, 74, 50])
    copy = copying.Index([SILENCE.cells, original.cells]).longest_copy(copied.cells)
    # 64 65 67 69 became 69 70 72 74.
    assert copy == copying.Copy(
        attacks=4, steps=12, step=8, reference=1, reference_step=8
    )


def test_the_rhythm_and_all_voices_count_in_a_copy():
    chords = [(0, 4, 60), (0, 4, 64), (4, 8, 62), (4, 8, 65), (8, 12, 64)]
    index = copying.Index([piece(*chords).cells])
    assert index.longest_copy(piece(*chords).cells).attacks == 3
    without_a_voice = [note for note in chords if note != (4, 8, 65)]
    assert index.longest_copy(piece(*without_a_voice).cells).attacks == 0
    slower = [(2 * start, 2 * end, pitch) for start, end, pitch in chords]
    assert index.longest_copy(piece(*slower).cells).attacks == 0


def test_how_long_notes_are_held_does_not_hide_a_copy():
    index = copying.Index([tune_piece([60, 64, 62, 67]).cells])
    shortened = [(start, end - 2, p) for start, end, p in tune([60, 64, 62, 67])]
    assert index.longest_copy(piece(*shortened).cells).attacks == 4


def test_no_copy_reaches_over_the_end_of_a_piece():
    index = copying.Index([tune_piece([60, 62]).cells, tune_piece([64, 65]).cells])
    assert index.longest_copy(tune_piece([60, 62, 64, 65]).cells).attacks == 2


def test_a_piece_may_be_searched_in_all_but_itself():
    same, other = tune_piece([60, 64, 62, 67]), tune_piece([60, 64, 62, 50])
    index = copying.Index([same.cells, other.cells])
    assert index.longest_copy(same.cells).attacks == 4
    assert index.longest_copy(same.cells, exclude=0).attacks == 3
    assert copying.Index([same.cells]).longest_copy(same.cells, exclude=0) == (
        copying.Copy()
    )
