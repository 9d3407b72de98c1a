# Sourced by the scripts beside it: makes or reuses .venv and installs this checkout.
#
#   make_environment EXTRAS    e.g. make_environment corpus,fast,media
#
# Sets PYTHON to the environment's interpreter. The environment is made with PYTHON if it
# is set, else with the first of python3.11 to 3.13 and python3.

make_environment() {
  local extras="$1" base stamp
  base="${PYTHON:-}"
  if [ -z "$base" ]; then
    for base in python3.11 python3.12 python3.13 python3; do
      command -v "$base" >/dev/null 2>&1 && break
    done
  fi
  if ! "$base" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))'; then
    echo "error: needs Python 3.11 to 3.13 as python3, or PYTHON=/path/to/python." >&2
    exit 2
  fi
  [ -d .venv ] || "$base" -m venv .venv
  PYTHON="$PWD/.venv/bin/python"
  # Windows has the programs in another folder.
  [ -d .venv/Scripts ] && PYTHON="$PWD/.venv/Scripts/python.exe"
  stamp=".venv/.installed-$extras"
  if [ ! -e "$stamp" ] || [ setup.py -nt "$stamp" ]; then
    echo "Installing poph_tf[$extras] into .venv (TensorFlow is a large download)..."
    "$PYTHON" -m pip install --quiet --disable-pip-version-check -e ".[$extras]"
    # It depends on pyaudio, which needs a compiler and which we never use.
    "$PYTHON" -m pip install --quiet --disable-pip-version-check --no-deps \
      'tinysoundfont>=0.3.6,<0.4' ||
      echo "No tinysoundfont for this platform: pieces have no sound." >&2
    touch "$stamp"
  fi
}
