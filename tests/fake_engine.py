"""An engine whose notes can be worked out by hand, for tests of live play.

Two voices of 24 pitches from 48 up. The first plays its given notes; when free, it
holds the last given pitch (the first pitch if there was none). The second, when free,
is 3 pitches below the first. A free note is struck on each quarter.
"""

import numpy as np

from poph_tf.config import GenerationConfig, LiveConfig, ModelConfig, Track
from poph_tf.generation.stepper import TO_CELLS
from poph_tf.playing.session import Session, request_of

TRACKS = (Track("high", voice=True), Track("low", voice=True))
LOW = 48
STEP = 0.125  # seconds, at 120 qpm


class FakeEngine:
    config = ModelConfig(
        tracks=TRACKS, min_pitch=LOW, num_pitches=24, preset="poph3", volume=True
    )

    def __init__(self):
        self.told = []  # (step, constraints or None) of each step in turn

    def zero_state(self):
        return {"step": 0, "last": 0, "state_given": np.zeros((1, 2), np.float32)}

    def numbers(self, seed, steps):
        return np.zeros((len(steps), 2, 24, 2), np.float32)

    def draw(self, slices):
        (one,) = slices
        state, controls = one.state, one.controls
        given = controls.constraints
        given = np.zeros((2, 24, 4)) if given is None else given[0, 0]
        self.told.append((state["step"], given))
        frame = np.zeros((2, 24, 3), np.float32)
        last = state["last"]
        for track, below in ((0, 0), (1, 3)):
            if given[track, 0, 0]:
                frame[track] = given[track, :, 1:]
            else:
                struck = controls.bar_position[0, 0] % 4 == 0
                frame[track, (last - below) % 24] = (1, struck, 0.5)
            if track == 0 and frame[0, :, 0].any():
                last = int(np.flatnonzero(frame[0, :, 0])[0])
        after = {"step": state["step"] + 1, "last": last}
        cells = np.rint(frame * TO_CELLS).astype(np.uint8)[None]
        return [(cells, after | {"state_given": given[None, :, 0, 0]})]


def session(engine=None, settings=None, **config):
    engine = engine or FakeEngine()
    request = request_of(settings or GenerationConfig(), engine)
    return Session(LiveConfig(**config), request, engine)
