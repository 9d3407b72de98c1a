"""Settings that contradict each other are rejected with an error message."""

import re

import pytest

from poph_tf import config
from poph_tf.errors import InputError


@pytest.mark.parametrize(
    ("cls", "values", "message"),
    [
        (config.DataConfig, {"input": ()}, "input must name a folder, archive or file"),
        (
            config.DataConfig,
            {"input": ["x"], "min_steps": 9, "max_steps": 8},
            "min_steps must not exceed max_steps, got 9 > 8",
        ),
        (
            config.DataConfig,
            {"input": ["x"], "channels": [1], "reader": "note_seq"},
            "channels needs reader=fast",
        ),
        (
            config.DataConfig,
            {"input": ["x"], "channels": [17]},
            "channels must be 1 to 16, got 17",
        ),
        (
            config.DataConfig,
            {"input": ["x"], "metres": ["waltz"]},
            "metres must be like 4/4, got 'waltz'",
        ),
        (
            config.ModelConfig,
            {"styles": ["a", "a"], "style_shares": [1, 1]},
            "styles must be distinct, got ('a', 'a')",
        ),
        (
            config.ModelConfig,
            {"tracks": [{"name": "a"}], "harmony_weight": 0.1},
            "A model with tracks needs harmony_weight=0",
        ),
        (
            config.ModelConfig,
            {"pitch_model": "nade", "pitch_attention": "in_place_of_pitch"},
            "pitch_attention=in_place_of_pitch replaces the pitch axis",
        ),
        (
            config.TrainingConfig,
            {"min_transpose": 2, "max_transpose": 1},
            "min_transpose must not exceed max_transpose, got 2 > 1",
        ),
        (
            config.DistributionConfig,
            {
                "strategy": "multi_worker_mirrored",
                "worker_hosts": ["a:1", "b:1"],
                "worker_index": 2,
            },
            "worker_index must be 0 to 1 for 2 worker_hosts, got 2",
        ),
        (
            config.GenerationConfig,
            {"min_pitch": 61, "max_pitch": 60},
            "min_pitch must not exceed max_pitch, got 61 and 60",
        ),
        (
            config.GenerationConfig,
            {"primer": "a.mid", "redraw": "1", "steps": "0-4"},
            "bars, redraw and steps cannot be combined",
        ),
        (
            config.GenerationConfig,
            {"fix": "a.mid", "best_of": 64, "particles": 128},
            "best_of times particles must be at most",
        ),
        (
            config.GenerationConfig,
            {"task": "continue", "music": "a.mid", "given": ["alto"]},
            "The task continue draws whole bars of all tracks",
        ),
    ],
)
def test_settings_that_contradict_each_other_are_refused(cls, values, message):
    with pytest.raises(InputError, match=re.escape(message)):
        cls(**values)
