"""Sessions with a clock of the test's own: what is sent, and in which step."""

import mido
import numpy as np
import pytest
from fake_engine import LOW, STEP, FakeEngine, session
from hypothesis import given
from hypothesis import strategies as st

from poph_tf.config import GenerationConfig, LiveConfig, ModelConfig
from poph_tf.data import matrices
from poph_tf.errors import InputError
from poph_tf.generation.composer import Composer
from poph_tf.models import pretrained
from poph_tf.playing.session import MISSED_BARS, Session, request_of

ON, OFF, CONTROL, CLICK_ON, CLICK_OFF = 0x90, 0x80, 0xB0, 0x99, 0x89
ALL_OFF = [(CONTROL, 123, 0), (CONTROL | 1, 123, 0)]


def on(pitch, velocity=80):
    return mido.Message("note_on", note=pitch, velocity=velocity)


def off(pitch):
    return mido.Message("note_off", note=pitch)


def run(playing, events, num_steps):
    """Plays events (step, message) in time; returns (step, bytes) of what is sent."""
    sent = [(None, data) for data in playing.start(0.0)]
    zero = playing.clock.due(0)
    events = sorted(events, key=lambda event: event[0])
    for half in range(2 * num_steps):
        now = zero + half / 2 * STEP
        while events and zero + events[0][0] * STEP < now:
            step, message = events.pop(0)
            sent += [(step, d) for d in playing.receive(zero + step * STEP, message)]
        sent += [(half / 2, data) for data in playing.advance(now)]
    return sent


def notes(sent):
    return [
        (step, data) for step, data in sent if data[0] in (ON, OFF, ON | 1, OFF | 1)
    ]


def test_a_count_in_clicks_each_beat_and_the_first_one_higher():
    clicks = [
        (step, data[1])
        for step, data in run(session(count_in=1), [], 8)
        if data[0] == CLICK_ON
    ]
    playing = session(count_in=1)
    begun = [data for data in playing.start(7.0) if data[0] == CLICK_ON]
    assert [data[1] for data in begun] == [76] and playing.clock.due(0) == 9.0
    later = playing.advance(9.0)
    assert [data[1] for data in later if data[0] == CLICK_ON] == [77, 77, 77]
    assert clicks == [(None, 76), (0.0, 77), (0.0, 77), (0.0, 77)]


def test_an_answer_begins_on_its_bar_line_and_ends_on_the_next():
    playing = session(call_bars=1, count_in=0)
    sent = notes(run(playing, [(0.1, on(60)), (4.2, off(60)), (14.0, on(55))], 33))
    first, last = sent[:2], sent[-2:]
    assert first == [(16.0, (ON, 55, 64)), (16.0, (ON | 1, 52, 64))]
    assert last == [(32.0, (OFF, 55, 0)), (32.0, (OFF | 1, 52, 0))]
    # Struck on each quarter of the answer.
    struck = [step for step, data in sent if data[0] == ON]
    assert struck == [16.0, 20.0, 24.0, 28.0]


def test_a_call_without_notes_has_no_answer():
    assert not notes(run(session(call_bars=1, count_in=0), [], 64))


def test_an_answer_may_have_another_length():
    playing = session(call_bars=1, answer_bars=2, count_in=0)
    sent = notes(run(playing, [(0.1, on(60)), (3.0, off(60))], 60))
    assert (sent[0][0], sent[-1][0]) == (16.0, 48.0)


def test_what_is_played_in_the_call_is_what_the_network_is_told():
    engine = FakeEngine()
    playing = session(engine, call_bars=1, count_in=0, legato=0)
    # Early and late by less than half a step; the second note is very short.
    keys = [(1.6, on(60, 90)), (3.4, off(60)), (4.4, on(62, 70)), (4.45, off(62))]
    run(playing, keys, 17)
    told = {step: cells[0] for step, cells in engine.told[:16]}
    assert {step for step, cells in told.items() if cells[:, 1].any()} == {2, 4}
    # Clamped, played, struck, velocity.
    np.testing.assert_allclose(told[2][60 - LOW], (1, 1, 1, 90 / 127), rtol=1e-6)
    np.testing.assert_allclose(told[4][62 - LOW], (1, 1, 1, 70 / 127), rtol=1e-6)
    # The voice that nobody plays is drawn, not clamped to a rest.
    assert all(not cells[1, :, 0].any() for _, cells in engine.told[:16])
    # In the answer, everything is drawn.
    assert not engine.told[16][1].any()


def test_chords_go_to_the_voices_from_high_to_low():
    engine = FakeEngine()
    playing = session(engine, call_bars=1, count_in=0)
    run(playing, [(0.1, on(52)), (0.2, on(64))], 4)
    cells = engine.told[0][1]
    assert [int(np.flatnonzero(cells[k, :, 1])[0]) + LOW for k in (0, 1)] == [64, 52]


def test_an_accompaniment_begins_with_the_melody_and_plays_the_other_track():
    playing = session(mode="accompany", count_in=0)
    sent = notes(run(playing, [(3.8, on(60)), (5.9, off(60)), (6.1, on(62))], 7))
    assert sent == [
        (4.0, (ON | 1, 57, 64)),
        (6.1, (OFF | 1, 57, 0)),
        (6.1, (ON | 1, 59, 64)),
    ]


def test_an_accompaniment_remembers_what_was_played_in_the_end():
    engine = FakeEngine()
    playing = session(engine, mode="accompany", count_in=0)
    # At step 6 the old note is still down: the engine gets it, then a correction.
    run(playing, [(3.8, on(60)), (6.2, off(60)), (6.3, on(62))], 9)
    played = [
        (step, int(np.flatnonzero(cells[0, :, 1])[0]) + LOW, bool(cells[1, 0, 0]))
        for step, cells in engine.told
    ]
    # (step from the start, pitch passed on, whether the other track was too)
    assert played == [
        *((0, 60, False), (1, 60, False), (2, 60, False), (2, 62, False)),
        *((3, 62, False), (4, 62, False)),
    ]


def test_an_accompaniment_rests_two_bars_after_the_melody():
    playing = session(mode="accompany", count_in=0, legato=0)
    sent = notes(run(playing, [(0.1, on(60)), (3.9, off(60))], 60))
    assert sent[-1] == (35.0, (OFF | 1, 57, 0))


def test_an_accompaniment_never_depends_on_what_comes():
    early = [(0.1, on(60)), (3.0, off(60)), (5.1, on(65)), (9.0, off(65))]
    late = [(12.3, on(70)), (14.0, off(70))]
    long = notes(run(session(mode="accompany", count_in=0), early + late, 20))
    short = notes(run(session(mode="accompany", count_in=0), early, 20))
    assert [event for event in long if event[0] < 12.3] == [
        event for event in short if event[0] < 12.3
    ]


def clocks(playing, first, count, seconds_each=0.02):
    """Sends clock messages; returns what is sent back, by the number of the message."""
    sent = []
    for k in range(first, first + count):
        message = mido.Message("clock")
        sent += [(k, d) for d in playing.receive(k * seconds_each, message)]
    return sent


def test_with_midi_clock_steps_begin_on_the_clock_messages():
    playing = session(clock="midi", call_bars=1)
    playing.start(0.0)
    assert clocks(playing, 0, 5) == [] and playing.wake() is None
    playing.receive(0.1, mido.Message("start"))
    sent = clocks(playing, 6, 1)
    playing.receive(0.125, on(60))
    sent += clocks(playing, 7, 200)
    struck = [k for k, data in notes(sent) if data[0] == ON]
    # Message 6 + 96 is the first of the second bar; each quarter has 24.
    assert struck == [102, 126, 150, 174]
    assert notes(sent)[-1] == (198, (OFF | 1, 57, 0))


def test_midi_stop_ends_all_notes_and_continue_goes_on():
    playing = session(clock="midi", call_bars=1)
    playing.start(0.0)
    playing.receive(0.0, mido.Message("start"))
    clocks(playing, 1, 1)
    playing.receive(0.025, on(60))
    clocks(playing, 2, 100)
    sent = playing.receive(2.05, mido.Message("stop"))
    assert sent == [(OFF, 60, 0), (OFF | 1, 57, 0), *ALL_OFF]
    assert clocks(playing, 103, 9) == [] and playing.receive(2.3, on(64)) == []
    playing.receive(2.4, mido.Message("continue"))
    # The song's last clock was 100; 102 is step 17, still in the answer.
    assert [k for k, d in notes(clocks(playing, 121, 12)) if d[0] == ON] == [122]


def test_a_song_position_says_which_bar_it_is():
    playing = session(clock="midi", call_bars=1)
    playing.start(0.0)
    playing.receive(0.0, mido.Message("songpos", pos=24))
    playing.receive(0.01, mido.Message("continue"))
    assert clocks(playing, 1, 30) == []  # in the middle of an answer without a call
    clocks(playing, 31, 18 + 2)  # the third bar begins, which is a call
    playing.receive(1.01, on(60))
    sent = notes(clocks(playing, 51, 96))
    assert sent[0] == (1 + 48 + 96, (ON, 60, 64))


def test_a_clock_that_stays_away_ends_all_notes():
    playing = session(clock="midi", mode="accompany")
    playing.start(0.0)
    playing.receive(0.0, mido.Message("start"))
    clocks(playing, 1, 1)
    assert notes([(0, d) for d in playing.receive(0.025, on(60))])
    assert playing.advance(0.9) == [] and playing.wake() == pytest.approx(1.02)
    assert playing.advance(1.1) == [(OFF | 1, 57, 0), *ALL_OFF]
    assert playing.wake() is None and clocks(playing, 80, 50) == []


def test_a_session_that_slept_does_not_catch_up():
    engine = FakeEngine()
    playing = session(engine, mode="accompany", count_in=0)
    playing.start(0.0)
    playing.receive(0.01, on(60))
    steps_before = len(engine.told)
    sent = playing.advance(3600.0)
    assert sent[: 1 + len(ALL_OFF)] == [(OFF | 1, 57, 0), *ALL_OFF]
    assert len(engine.told) <= steps_before + 1 < MISSED_BARS * playing.bar_steps


def test_only_one_channel_is_listened_to_if_asked_for():
    playing = session(mode="accompany", count_in=0, listen=3)
    playing.start(0.0)
    assert playing.receive(0.01, on(60)) == []
    assert playing.receive(0.02, on(60).copy(channel=2))


MESSAGES = st.one_of(
    st.builds(
        mido.Message,
        st.sampled_from(["note_on", "note_off"]),
        note=st.integers(0, 127),
        velocity=st.integers(0, 127),
    ),
    st.builds(mido.Message, st.sampled_from(["clock", "start", "continue", "stop"])),
    st.builds(mido.Message, st.just("songpos"), pos=st.integers(0, 40)),
    st.builds(
        mido.Message, st.just("control_change"), control=st.integers(0, 127),
        value=st.integers(0, 127),
    ),
)  # fmt: skip


@given(
    st.lists(st.tuples(st.floats(0.0, 0.6), MESSAGES), max_size=40),
    st.sampled_from(["own", "midi"]),
    st.sampled_from(["answer", "accompany"]),
    st.booleans(),
)
def test_no_note_hangs_whatever_comes(messages, clock, mode, one_channel):
    playing = session(
        clock=clock, mode=mode, one_channel=one_channel, call_bars=1, count_in=0
    )
    now, sent = 0.0, playing.start(0.0)
    for wait, message in messages:
        now += wait
        sent += playing.receive(now, message)
    sent += playing.stop()
    sounding = set()
    for status, *data in sent:
        key = (status & 0x0F, data[0])
        if status & 0xF0 == ON:
            assert key not in sounding  # else their ends are ambiguous
            assert 1 <= data[1] <= 127
            sounding.add(key)
        elif status & 0xF0 == OFF:
            sounding.remove(key)
    assert not sounding


def test_an_answer_is_the_continuation_of_the_call():
    composer = Composer(pretrained.path_of("chorales"))
    engine, tracks = composer._light, composer.config.tracks
    request = request_of(GenerationConfig(seed=3, temperature=0.9), engine)
    playing = Session(LiveConfig(call_bars=1, count_in=0), request, engine)
    chords = [(67, 62, 59, 43), (67, 64, 60, 48), (66, 62, 57, 50), (67, 62, 59, 43)]
    stack = np.zeros((16, 4, 128, 3), np.uint8)
    events = []
    for k, chord in enumerate(chords):
        for voice, pitch in enumerate(chord):
            stack[4 * k : 4 * k + 4, voice, pitch] = (1, 0, 80)
            stack[4 * k, voice, pitch, 1] = k > 0
            events += [(4 * k + 0.1, on(pitch)), (4 * k + 3.9, off(pitch))]
    call = matrices.from_stack(stack, tracks, np.arange(16, dtype=np.uint8))
    expected = composer.continue_(
        call, num_bars=1, seed=3, temperature=0.9, ending=False, keep_primer=False
    )
    sent = run(playing, events, 33)
    for k, track in enumerate(expected.matrices.tracks):
        starts, ends, pitches, _ = matrices.spans(track.cells)
        begun = [(s - 16, d[1]) for s, d in sent if s is not None and d[0] == ON | k]
        assert begun == list(zip(starts, pitches, strict=True))
        ended = {(s - 16, d[1]) for s, d in sent if s is not None and d[0] == OFF | k}
        assert ended == set(zip(ends, pitches, strict=True))


def test_what_live_play_cannot_do_is_told():
    engine = FakeEngine()
    with pytest.raises(InputError, match="takes no music"):
        request_of(GenerationConfig(best_of=4), engine)
    with pytest.raises(InputError, match="no track 'flute'"):
        session(engine, part="flute")
    engine.config = ModelConfig()
    with pytest.raises(InputError, match="accompany needs a model with tracks"):
        session(engine, mode="accompany")
