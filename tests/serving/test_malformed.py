"""Requests that no server should accept: each gets a 4xx and a reason."""

import copy
import json
import math

import exported
from exported import compose_inputs, states
from hypothesis import given, settings
from hypothesis import strategies as st
from servers import columns, shared

from poph_tf.config import Limits
from poph_tf.serving.inputs import INPUTS

LIMITS = Limits(exported.MAX_STEPS, exported.MAX_BATCH)
PIECE = columns("compose", compose_inputs(1, 4))
REQUESTS = [
    PIECE,
    columns("compose_midi", compose_inputs(1, 4)),
    columns("continue_", compose_inputs(1, 4) | {"state_bytes": states(b"")}),
]
REQUESTS[1]["inputs"]["tempo_qpm"] = [120.0]
# Not valid for any input, in any position.
NEVER = (
    *(None, True, "x", {}, {"b64": "AA=="}, [], [[]], [None]),
    *(10**400, -(10**30)),
)
BODIES = (
    *(b"", b"{", b"[]", b"null", b"1", b'"x"', b"{}", b"<xml/>", b"\xff\xfe"),
    *(b"\0" * 9, b"[" * 100_000, b"9" * 5000, b'{"inputs":1}', b'{"instances": [}'),
    *(b'{"inputs": {"seed": [[1', b'{"instances": []}'),
    b'{"inputs": {}, "instances": []}',
)
ENVELOPES = {
    "signature_name": ["Compose", "score\0", 3, ["compose"], {}, "x" * 9000],
    "instances": [[], {}, [PIECE["inputs"]]],
    "extra": [1],
}
STATES = ("AAAA", "!", "UEhTMQ==", "A" * 4000, "=", "é")


def never_valid(draw, request, name):
    value = draw(st.sampled_from(NEVER))
    request["inputs"][name] = draw(st.sampled_from([[value], [[value]], value]))


def out_of_range(draw, request, _):
    name = draw(st.sampled_from(["num_steps", "temperature", "tempo_qpm"]))
    low, high = INPUTS[name].low, INPUTS[name].upper(LIMITS)
    if name == "num_steps":
        wrong = [st.integers(max_value=low - 1), st.integers(min_value=high + 1)]
        wrong.append(st.sampled_from([1.5, 4.0]))
    else:
        wrong = [
            st.floats(max_value=low, exclude_max=True, width=32),
            st.floats(min_value=high, exclude_min=True, width=32),
            st.sampled_from([math.nan, 1e300]),
        ]
    request["signature_name"] = "compose_midi"
    request["inputs"] = REQUESTS[1]["inputs"] | {name: [draw(st.one_of(wrong))]}


def wrong_shape(draw, request, name):
    value = request["inputs"][name]
    wrong = ([value], value * 2, value[0], [], value * 5000)
    request["inputs"][name] = draw(st.sampled_from(wrong))


def wrong_names(draw, request, name):
    value = request["inputs"].pop(name)
    if draw(st.booleans()):
        more = draw(st.text(min_size=1).filter(lambda text: text not in INPUTS))
        request["inputs"] |= {name: value, more: value}


def wrong_style(draw, request, _):
    nan = math.nan
    wrong = ([0, 0], [1.5, 0], [nan, nan], [1, 1, 1], [-1, 2], [0.9, 0], [1])
    request["inputs"]["style"] = [draw(st.sampled_from(wrong))]


def wrong_envelope(draw, request, _):
    name = draw(st.sampled_from(sorted(ENVELOPES)))
    request[name] = draw(st.sampled_from(ENVELOPES[name]))
    request["signature_name"] = request["signature_name"] or "no such"


def wrong_state(draw, request, _):
    text = draw(st.sampled_from(STATES))
    request["signature_name"] = "continue_"
    request["inputs"] = REQUESTS[2]["inputs"] | {"state_bytes": [{"b64": text}]}


CHANGES = [
    never_valid, out_of_range, wrong_shape, wrong_names, wrong_style, wrong_envelope,
    wrong_state,
]  # fmt: skip


@st.composite
def bodies(draw):
    """A valid request with one fault, in column or row format, or no request."""
    request = copy.deepcopy(draw(st.sampled_from(REQUESTS)))
    name = draw(st.sampled_from(sorted(request["inputs"])))
    how = draw(st.sampled_from([*CHANGES, "cut", "no request"]))
    if how == "no request":
        return draw(st.sampled_from(BODIES) | st.binary(max_size=200))
    if how == "cut":
        body = json.dumps(request).encode()
        return body[: draw(st.integers(0, len(body) - 1))]
    how(draw, request, name)
    inputs = request["inputs"]
    single = all(isinstance(v, list) and len(v) == 1 for v in inputs.values())
    if single and "instances" not in request and draw(st.booleans()):
        del request["inputs"]
        request["instances"] = [{name: value[0] for name, value in inputs.items()}]
    return json.dumps(request).encode()


def test_malformed_requests_are_refused_and_the_piece_stays_the_same():
    before = shared().predict(PIECE)
    assert before[0] == 200

    @settings(max_examples=300, derandomize=True, deadline=None, database=None)
    @given(bodies())
    def refuse(body):
        status, answer = shared().predict(body)
        assert 400 <= status < 500
        assert answer["error"]

    refuse()
    assert shared().predict(PIECE) == before
