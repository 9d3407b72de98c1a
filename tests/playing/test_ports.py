"""Sessions through ports in memory, in real time; and ports that fail."""

import contextlib
import math
import sys
import types

import mido
import pytest
from fake_engine import session

from poph_tf.config import GenerationConfig, LiveConfig
from poph_tf.errors import InputError
from poph_tf.playing import latency, ports

FAST = {"call_bars": 1, "count_in": 1}


def fast_session(**config):
    settings = GenerationConfig(tempo_qpm=1000.0)
    return session(settings=settings, **config)


def test_the_latency_is_that_of_the_notes_that_were_answered():
    found = latency.measure(fast_session(**FAST), LiveConfig(**FAST), 2, virtual=False)
    # Two voices in four quarters of two answers: note-ons and note-offs.
    assert (found["rounds"], found["events"], found["step_ms"]) == (2, 32, 15.0)
    # The call's last note is on its last step; the answer begins on the next.
    assert found["last_note_to_answer_ms"]["median"] > 0
    assert 0 <= found["late_ms"]["median"] <= found["late_ms"]["max"] < 15.0


def test_the_latency_needs_a_session_that_answers():
    config = {"mode": "accompany", "count_in": 1}
    with pytest.raises(InputError, match="--mode=answer"):
        latency.measure(session(**config), LiveConfig(**config), 1, virtual=False)


class Failing(ports.Loopback):
    """An output that goes away after some messages."""

    def __init__(self, left):
        super().__init__()
        self.left, self.received = left, []

    def send(self, message):
        self.left -= 1
        if self.left < 0:
            raise OSError("No such device")
        self.received.append(message)


def test_an_output_that_goes_away_ends_the_session_with_a_sentence():
    with pytest.raises(InputError, match="output port is gone: No such device"):
        ports.play(fast_session(**FAST), ports.Loopback(), Failing(4))


def test_an_input_that_goes_away_ends_all_notes():
    source, sent = ports.Loopback(), []
    source.send(mido.Message("note_on", note=60, velocity=80))

    def record(message):
        sent.append(message)
        if message.type == "note_on":
            source.close()

    playing = fast_session(mode="accompany", count_in=0)
    with pytest.raises(InputError, match="port is gone"):
        ports.play(playing, source, ports.Loopback(record))
    assert [m.type for m in sent[-4:]] == [
        "note_on",
        "note_off",
        *["control_change"] * 2,
    ]


def test_a_port_that_is_no_longer_listed_ends_the_session(monkeypatch):
    monkeypatch.setattr(ports, "CHECK_SECONDS", 0.01)
    looks = iter([True, False])
    with pytest.raises(InputError, match="port is gone"):
        ports.play(
            fast_session(**FAST),
            ports.Loopback(),
            ports.Loopback(lambda _: None),
            lambda: next(looks),
        )


def test_ctrl_c_ends_all_notes():
    sent = []

    def interrupted():
        if any(m.type == "note_on" for m in sent):
            raise KeyboardInterrupt
        return math.inf

    with pytest.raises(KeyboardInterrupt):
        ports.play(
            fast_session(**FAST), ports.Loopback(), ports.Loopback(sent.append),
            until=interrupted,
        )  # fmt: skip
    on, *rest = [m for m in sent if m.type != "program_change"]
    assert (on.type, rest[0].type, rest[-1].control) == ("note_on", "note_off", 123)


def test_a_name_may_be_a_part_of_one_ports_name():
    known = ["Midi Through:0", "Keystation 61:1", "Keystation 61:2"]
    assert ports.found("through", known, "--input") == "Midi Through:0"
    assert ports.found("Keystation 61:1", known, "--input") == "Keystation 61:1"
    with pytest.raises(InputError, match=r"--input=keys matches 2 ports"):
        ports.found("keys", known, "--input")
    with pytest.raises(InputError, match="--output=x matches no port; there are: none"):
        ports.found("x", [], "--output")


class Machine(types.ModuleType):
    """mido on a machine with two inputs and an output."""

    inputs = ["Keystation 61:1", "Through:0"]

    def get_input_names(self):
        return self.inputs

    def get_output_names(self):
        return ["Synth:0"]

    def open_input(self, name, virtual):
        return contextlib.nullcontext(("input", name, virtual))

    def open_output(self, name, virtual):
        return contextlib.nullcontext(("output", name, virtual))


@pytest.fixture
def machine(monkeypatch):
    made = Machine("mido")
    monkeypatch.setitem(sys.modules, "mido", made)
    monkeypatch.setitem(sys.modules, "rtmidi", types.ModuleType("rtmidi"))
    return made


def test_ports_are_listed_by_kind(machine):
    assert ports.listing().split("\n  ") == [
        "Inputs:", "Keystation 61:1", "Through:0\nOutputs:", "Synth:0",
    ]  # fmt: skip
    machine.inputs = []
    assert ports.listing().startswith("Inputs:\n  none\n")


def test_ports_are_opened_by_a_part_of_their_name_until_they_go_away(machine):
    with ports.opened("keys", "synth", virtual=False) as (*made, still_there):
        assert [port.enter_result[:2] for port in made] == [
            ("input", "Keystation 61:1"), ("output", "Synth:0"),
        ]  # fmt: skip
        assert still_there()
        machine.inputs = ["Through:0"]
        assert not still_there()


def test_virtual_ports_have_one_name_and_stay(machine):
    with ports.opened("", "", virtual=True) as (source, target, still_there):
        assert source.enter_result == ("input", ports.VIRTUAL_NAME, True)
        assert target.enter_result == ("output", ports.VIRTUAL_NAME, True)
        machine.inputs = []
        assert still_there()


def test_a_machine_without_a_midi_system_is_told_in_a_sentence(machine, monkeypatch):
    def fail(_):
        raise OSError("no sequencer")

    monkeypatch.setattr(Machine, "get_output_names", fail)
    with pytest.raises(InputError, match="No MIDI ports are available here: no seq"):
        ports.names()


def test_missing_packages_are_named_with_what_installs_them(monkeypatch):
    monkeypatch.setitem(sys.modules, "rtmidi", None)
    with pytest.raises(
        InputError, match=r"python-rtmidi: pip install 'poph_tf\[live\]'"
    ):
        ports.listing()
    monkeypatch.setitem(sys.modules, "mido", None)
    with pytest.raises(InputError, match="needs mido"):
        ports.play(fast_session(), ports.Loopback(), ports.Loopback())
