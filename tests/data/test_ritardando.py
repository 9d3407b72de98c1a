"""The last two bars slow down and the grid stays the same."""

import dataclasses

import numpy as np

from poph_tf.data import matrices, midi, reading
from poph_tf.data.matrices import Matrices


def piece(num_steps=64):
    cells = np.zeros((num_steps, 128, 3), np.uint8)
    for step in range(0, num_steps, 3):
        cells[step : step + 2, 60 + step % 7] = (1, 0, 80)
    bars = (np.arange(num_steps) % 16).astype(np.uint8)
    return matrices.canonical(Matrices(cells, bars, time_signatures=((0, 4, 4),)))


def test_the_tempo_falls_over_the_last_two_bars_and_not_before():
    plain = matrices.to_sequence(piece())
    slower = matrices.to_sequence(dataclasses.replace(piece(), ritardando=0.25))
    qpms = [tempo.qpm for tempo in slower.tempos]
    np.testing.assert_allclose(
        qpms, 120 * np.append(1.0, 1 - 0.25 * np.arange(1, 9) / 8), rtol=1e-9
    )
    assert slower.tempos[1].time == 4.0  # two bars of 4/4 at 120
    for before, after in zip(plain.notes, slower.notes, strict=True):
        assert (after.start_time == before.start_time) == (before.start_time <= 4.0)
    # Eight quarters of half a second, each stretched by its own factor.
    expected = 4.0 + sum(0.5 * 120 / qpm for qpm in qpms[1:])
    np.testing.assert_allclose(slower.total_time, expected)


def test_a_file_with_a_ritardando_is_read_back_on_the_same_grid(tmp_path):
    slower = dataclasses.replace(piece(), ritardando=0.25)
    midi.write(matrices.to_sequence(slower), tmp_path / "a.mid")
    read = matrices.from_notes(reading.read_notes(tmp_path / "a.mid"))
    np.testing.assert_array_equal(read.cells, piece().cells[: len(read)])
    np.testing.assert_array_equal(read.bar_position, piece().bar_position[: len(read)])


def test_a_short_piece_slows_down_from_its_first_quarter():
    short = dataclasses.replace(piece(16), ritardando=0.5)
    qpms = [tempo.qpm for tempo in matrices.to_sequence(short).tempos]
    np.testing.assert_allclose(qpms, [105, 90, 75, 60])
