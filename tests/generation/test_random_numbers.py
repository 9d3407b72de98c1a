"""The sampler's random numbers: known answers, and what they depend on."""

import numpy as np
import pytest
import tensorflow as tf

from poph_tf.generation import host_randomness, randomness
from poph_tf.generation.controls import Controls


def words(*values):
    return tuple(tf.constant([value], tf.uint32) for value in values)


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        ((0,) * 4, (0,) * 2, "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        (
            (0xFFFFFFFF,) * 4,
            (0xFFFFFFFF,) * 2,
            "408f276d 41c83b0e a20bc7c6 6d5451fd",
        ),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            "d16cfe09 94fdcceb 5001e420 24126ea1",
        ),
    ],
)
@pytest.mark.parametrize("jit_compile", [False, True])
def test_philox_gives_the_known_answers_of_its_authors(
    counter, key, expected, jit_compile
):
    # From Random123's kat_vectors, "philox4x32 10".
    run = tf.function(randomness.philox, jit_compile=jit_compile)
    bits = run(words(*counter), words(*key))
    assert " ".join(f"{int(word[0]):08x}" for word in bits) == expected


def test_numbers_of_a_step_depend_on_seed_step_and_pitch_alone():
    seeds = tf.constant([[1, 2], [3, 4], [1, 2], [2, 1]])
    steps = tf.constant([7, 7, 8, 7])
    together = randomness.uniforms(seeds, steps, 6).numpy()
    for row in range(4):
        alone = randomness.uniforms(seeds[row : row + 1], steps[row : row + 1], 9)
        np.testing.assert_array_equal(alone[0, :6], together[row])
    first_track = randomness.uniforms(seeds, steps, 6, track=0)
    np.testing.assert_array_equal(first_track, together)
    assert len(np.unique(together)) == together.size


def test_numbers_of_a_step_are_those_that_are_given_or_of_the_seed():
    step, seeds = tf.constant([3, 4, 5]), tf.constant([[1, 2], [3, 4], [1, 5]])
    asked = Controls(seeds, None, None)
    found = randomness.of_step(asked, step, 6)
    np.testing.assert_array_equal(found, randomness.uniforms(asked.seed, step, 6))
    given = np.random.default_rng(0).random((3, 2, 9, 2)).astype(np.float32)
    asked = asked._replace(numbers=tf.constant(given))
    np.testing.assert_array_equal(randomness.of_step(asked, step, 6), given[:, 0, :6])
    second = randomness.of_step(asked, step, 6, track=1)
    np.testing.assert_array_equal(second, given[:, 1, :6])


def test_numbers_are_uniform_multiples_of_two_to_the_minus_24():
    seeds = tf.constant([[-5, 2**31 - 1]] * 50)
    numbers = randomness.uniforms(seeds, tf.range(50), 100).numpy()
    assert numbers.dtype == np.float32
    assert numbers.min() >= 0.0 and numbers.max() < 1.0
    np.testing.assert_array_equal(numbers * 2**24, np.round(numbers * 2**24))
    counts = np.histogram(numbers, bins=10, range=(0, 1))[0]
    # Of 10,000 numbers each tenth holds 1000, give or take 30 (one standard deviation).
    assert np.abs(counts - 1000).max() < 150
    play, replay = numbers[..., 0].ravel(), numbers[..., 1].ravel()
    assert abs(np.corrcoef(play, replay)[0, 1]) < 0.06


def test_keys_are_24ths_of_a_number_of_their_own():
    seeds = np.stack([np.arange(500), 7 * np.arange(500) - 900], axis=1)
    seeds = seeds.astype(np.int32)
    # The fourth word of the counter is 1, which no note's random number uses.
    first = host_randomness.philox((0, 0, 0, 1), [*seeds.view(np.uint32).T])[0]
    expected = [(int(word) >> 8) * 24 // 2**24 for word in first]
    np.testing.assert_array_equal(host_randomness.keys(seeds), expected)
    np.testing.assert_array_equal(randomness.keys(tf.constant(seeds)), expected)
    assert set(expected) == set(range(24))
