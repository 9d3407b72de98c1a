"""Inputs that the signatures of an export refuse, and their messages."""

import exported
import numpy as np
import pytest
import tensorflow as tf
from exported import call, compose_inputs, roll_inputs, roll_of, states

from poph_tf import serving


def refused(signature, inputs):
    """The message of a signature for bad inputs."""
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        call(signature, inputs)
    return str(caught.value)


BAD_INPUTS = {
    "no steps": ({"num_steps": [0, 4]}, "num_steps must be 1 to 64, got] [0 4]"),
    "negative steps": ({"num_steps": [4, -1]}, "num_steps must be 1 to 64"),
    "too many steps": ({"num_steps": [65, 4]}, "num_steps must be 1 to 64"),
    "cold": (
        {"temperature": [1.0, -0.5]},
        "temperature must be 0 to 10, got] [1 -0.5]",
    ),
    "hot": ({"temperature": [10.5, 1.0]}, "temperature must be 0 to 10"),
    "NaN": ({"temperature": [np.nan, 1.0]}, "temperature must be 0 to 10"),
    "infinite": ({"temperature": [1.0, np.inf]}, "temperature must be 0 to 10"),
    "NaN style": ({"style": [[np.nan, 1.0], [1.0, 0.0]]}, "style must be shares"),
    "no style": ({"style": [[0.0, 0.0], [1.0, 0.0]]}, "add up to 1"),
    "negative style": ({"style": [[1.5, -0.5], [1.0, 0.0]]}, "style must be shares"),
    "unequal": ({"temperature": [1.0]}, "all inputs must have the same batch size"),
}
COMPOSING = {
    "compose": {},
    "compose_midi": {"tempo_qpm": np.array([120, 120], np.float32)},
    "continue_": {"state_bytes": states()},
}


@pytest.mark.parametrize("signature", COMPOSING)
@pytest.mark.parametrize("case", BAD_INPUTS)
def test_input_out_of_range_is_refused_with_the_allowed_range(signature, case):
    wrong, message = BAD_INPUTS[case]
    wrong = {k: np.array(v, compose_inputs()[k].dtype) for k, v in wrong.items()}
    assert message in refused(
        signature, compose_inputs() | COMPOSING[signature] | wrong
    )
    again = roll_of(call("compose", compose_inputs(1, 16)))
    np.testing.assert_array_equal(again, roll_of(_known_piece()))


def _known_piece():
    if not _known:
        _known.append(call("compose", compose_inputs(1, 16)))
    return _known[0]


_known = []


def test_negative_seeds_are_valid():
    seeds = [np.array([[seed, 0]], np.int32) for seed in (-1, -(2**31), 2**31 - 1)]
    found = [
        roll_of(call("compose", compose_inputs(1) | {"seed": seed})) for seed in seeds
    ]
    assert all(piece.any() for piece in found)
    assert not np.array_equal(found[0], found[1])


@pytest.mark.parametrize("batch", [0, exported.MAX_BATCH + 1])
def test_batch_outside_the_limits_is_refused(batch):
    message = refused("compose", compose_inputs(batch))
    assert "the batch size must be 1 to 4" in message


@pytest.mark.parametrize("tempo_qpm", [np.nan, 9.9, 1000.5, -120.0])
def test_tempo_out_of_range_is_refused(tempo_qpm):
    tempi = {"tempo_qpm": np.array([120.0, tempo_qpm], np.float32)}
    assert "tempo_qpm must be 10 to 1000" in refused(
        "compose_midi", compose_inputs() | tempi
    )


BAD_ROLLS = {
    "play": (lambda x: x * 2, "play must be 0 or 1"),
    "replay": (lambda x: x + 2, "replay must be 0 or 1"),
    "volume": (lambda x: x | 128, "volume must be 0 to 127"),
    "bar_position": (lambda x: x - 20, "bar_position must be 0 or more"),
    "style": (lambda x: x * 2, "style must be shares"),
}


@pytest.mark.parametrize("signature", ["score", "prefill"])
@pytest.mark.parametrize("name", BAD_ROLLS)
def test_matrices_out_of_range_are_refused(signature, name):
    inputs = roll_inputs(call("compose", compose_inputs(2, 16)))
    change, message = BAD_ROLLS[name]
    inputs[name] = change(inputs[name])
    if signature == "prefill":
        bar_steps = np.array([16, 16], np.int32)
        inputs |= {"state_bytes": states(), "bar_steps": bar_steps}
    assert message in refused(signature, inputs)


def test_matrices_of_unequal_or_no_or_too_many_steps_are_refused():
    inputs = roll_inputs(call("compose", compose_inputs(2, 16)))
    shorter = inputs | {"replay": inputs["replay"][:, :-1]}
    assert "must have the same number of steps" in refused("score", shorter)
    for num_steps in (0, 80):
        silent = {
            name: np.resize(value, (2, num_steps, *value.shape[2:]))
            for name, value in inputs.items()
            if name != "style"
        }
        message = refused("score", inputs | silent)
        assert "the number of steps must be 1 to 64" in message


@pytest.mark.parametrize("bar_steps", [0, -1, 257])
def test_bar_lengths_out_of_range_are_refused(bar_steps):
    inputs = roll_inputs(call("compose", compose_inputs(1, 16)))
    inputs |= {"state_bytes": states(b""), "bar_steps": np.array([bar_steps], np.int32)}
    assert "bar_steps must be 1 to 256" in refused("prefill", inputs)


HEADER, CHECKSUM = slice(0, 12), slice(12, 20)


def signed(state):
    """A changed state with the right checksum."""
    content = bytes(state[CHECKSUM.stop :])
    checksum = tf.fingerprint([content]).numpy().tobytes()
    return bytes(state[HEADER]) + checksum + content


def tampered_states():
    good = call("continue_", compose_inputs(1, 4) | {"state_bytes": states(b"")})
    good = good["state_bytes"][0]
    with_nan, flipped = bytearray(good), bytearray(good)
    with_nan[-4:] = np.float32(np.nan).tobytes()
    flipped[len(good) // 2] ^= 1
    with_no_bar = np.frombuffer(good, np.int32).copy()
    with_no_bar[np.flatnonzero(with_no_bar == exported.BAR_STEPS)] = 0
    return {
        "cut short": (good[:-1], "state_bytes must be empty or"),
        "too long": (good + b"\0" * 4, "state_bytes must be empty or"),
        "made up": (b"\0" * len(good), "of this model version"),
        "another model's": (
            good[:4] + b"otherone" + good[12:],
            "state_bytes must come from prefill or continue_ of this model version",
        ),
        "an earlier release's": (b"PHS1" + good[4:-8], "must be of this release: comp"),
        "one bit": (bytes(flipped), "state_bytes must be unchanged"),
        "not a number": (signed(with_nan), "state_bytes must be unchanged"),
        "no bar": (signed(with_no_bar.tobytes()), "bar_steps must be 1 to 256"),
        "not canonical": (signed(not_canonical(good)), "state_bytes must be unchanged"),
    }


def not_canonical(state):
    """A state whose last frame replays a pitch that does not sound."""
    module = serving.ServingModule(exported.model(), serving.Limits())
    unpacked = module.state_bytes.unpack(tf.constant([state]))
    frame = np.zeros(unpacked["frame"].shape, np.float32)
    frame[0, 0, 1] = 1
    return module.state_bytes.pack(unpacked | {"frame": frame}).numpy()[0]


TAMPERED = (
    *("cut short", "too long", "made up", "another model's", "an earlier release's"),
    *("one bit", "not a number", "no bar", "not canonical"),
)


@pytest.mark.parametrize("case", TAMPERED)
def test_cut_altered_or_foreign_states_are_refused(case):
    state, message = tampered_states()[case]
    inputs = compose_inputs(2, 4) | {"state_bytes": states(b"", state)}
    assert message in refused("continue_", inputs)


def test_matrices_that_are_not_canonical_are_made_so():
    inputs = roll_inputs(call("compose", compose_inputs(2, 16)))
    silent = inputs["play"] == 0
    assert silent.any()
    extra = {name: np.where(silent, 1, inputs[name]) for name in ("replay", "volume")}
    inputs |= {"state_bytes": states(), "bar_steps": np.array([16, 16], np.int32)}
    right, made = (
        call("prefill", inputs | more)["state_bytes"] for more in ({}, extra)
    )
    np.testing.assert_array_equal(right, made)


def test_wrong_rank_is_refused():
    with pytest.raises((TypeError, ValueError, tf.errors.InvalidArgumentError)):
        call("compose", compose_inputs() | {"seed": np.zeros(2, np.int32)})
