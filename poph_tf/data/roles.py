"""The tracks that a data set may ask for by name, and who plays them.

A role is found by the names of a piece's parts first and by their programs second.
"""

from poph_tf.config.tracks import Track

# The voices of a choir, from high to low.
CHOIR = tuple(
    Track(name, program=52, voice=True) for name in ("soprano", "alto", "tenor", "bass")
)
