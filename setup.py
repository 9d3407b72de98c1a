"""Installs poph_tf: `pip install .`, or `pip install -e '.[dev]'` to work on it."""

import pathlib
import re

from setuptools import find_packages, setup

ROOT = pathlib.Path(__file__).parent
VERSION = re.search(
    r'__version__ = "(.+)"', (ROOT / "poph_tf" / "__init__.py").read_text("utf-8")
).group(1)

# Compiles the scan of MIDI bytes. note-seq brings it along today, through librosa.
FAST = ["numba>=0.60"]
CORPUS = ["music21>=9.1,<11"]
# tinysoundfont asks for pyaudio, which needs a compiler and portaudio and which we
# never use: tools/quickstart.sh and tools/test.sh install it with --no-deps.
MEDIA = ["matplotlib>=3.8,<4"]
# Writes scores, and engraves them.
SCORE = ["music21>=9.1,<11", "verovio>=5,<7", "svglib>=1.5,<3", "resvg_py>=0.5,<1"]
ARCHIVES = ["py7zr>=1.0,<2", "pyarrow>=17,<26"]
SERVE = ["fastapi>=0.115,<1", "uvicorn>=0.30,<1", "python-multipart>=0.0.12,<1"]
# MIDI ports, for live play. pretty_midi brings mido along.
LIVE = ["mido>=1.3,<2", "python-rtmidi>=1.5.5,<2"]

setup(
    name="poph_tf",
    version=VERSION,
    description="Composes polyphonic music: biaxial LSTMs, DeepJ and PopH on Keras.",
    long_description=(ROOT / "README.md").read_text("utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11,<3.14",
    packages=find_packages(include=["poph_tf", "poph_tf.*"]),
    include_package_data=True,
    package_data={
        "poph_tf": [
            "**/web/**/*",
            "**/templates/*",
            "**/*.npz",
            "**/beat_network.md",
            "pretrained/*/*",
            "py.typed",
        ]
    },
    install_requires=[
        "tensorflow>=2.21,<2.22",
        "keras>=3.15,<3.16",
        "note-seq==0.0.5",
        # Left Python in 3.13; note-seq's pydub needs it.
        "audioop-lts>=0.2,<1; python_version >= '3.13'",
        "numpy>=1.26,<3",
        "scipy>=1.11,<2",
        "absl-py>=2.1,<3",
        "pydantic>=2.10,<3",
        "rich>=13,<16",
        "jinja2>=3.1,<4",
        "psutil>=6,<8",
        "pebble>=5.1,<6",
        "ai-edge-litert>=2.1,<3",
        "google-crc32c>=1.5,<2",
    ],
    extras_require={
        "fast": FAST,
        "corpus": CORPUS,
        "media": MEDIA,
        "score": SCORE,
        "serve": SERVE,
        "live": LIVE,
        "archives": ARCHIVES,
        "beam": ["apache-beam[tfrecord]>=2.77,<3"],
        "gpu": ["tensorflow[and-cuda]>=2.21,<2.22"],
        "dev": FAST
        + CORPUS
        + MEDIA
        + SCORE
        + SERVE
        + LIVE[:1]
        # It has no wheel for 3.13 and needs ALSA's headers; the tests do without it.
        + [f"{LIVE[1]}; python_version < '3.13'"]
        + ARCHIVES
        + ["pytest>=8,<10", "pytest-xdist>=3.5,<4", "hypothesis>=6.100,<7"]
        + ["schemathesis>=4.3,<5"]
        + ["slipcover>=1.1,<2", "coverage>=7.6,<8", "ruff>=0.12,<1", "mypy>=1.15,<3"]
        + ["mkdocs-material>=9.6,<10", "mkdocstrings[python]>=0.29,<2"]
        # Drives the studio in a Chromium that is already there.
        + ["playwright>=1.49,<2"]
        # Runs the manual's notebooks; one of the forms that pieces take.
        + ["nbclient>=0.10,<1", "ipykernel>=6.29,<8", "symusic>=0.5,<1"]
        # Carries the schema of MusicXML.
        + ["musicxml>=1.6,<2"]
        # The protos of its gRPC interface, for the test of the client.
        + ["tensorflow-serving-api>=2.21,<2.22"],
    },
    entry_points={
        "console_scripts": [
            "poph-train = poph_tf.train:run",
            "poph-evaluate = poph_tf.evaluate:run",
            "poph-generate = poph_tf.generate:run",
            "poph-export = poph_tf.export:run",
            "poph-live = poph_tf.live:run",
            "poph-serve = poph_tf.serve:run",
        ]
    },
)
