#!/usr/bin/env bash
# Sets up .venv with what the tests need, then runs ruff and all tests.
# Arguments go to pytest: ./tools/test.sh tests/test_losses.py
# Two processes share the files of tests; TEST_PROCESSES=1 takes one.
set -euo pipefail
cd "$(dirname "$0")/.."
source tools/environment.sh
make_environment dev
"$PYTHON" -m ruff check .
"$PYTHON" -m ruff format --check .
exec "$PYTHON" -m pytest --numprocesses="${TEST_PROCESSES:-2}" --dist=loadfile "$@"
