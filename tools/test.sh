#!/usr/bin/env bash
# Sets up .venv with what the tests need, then runs the linter, the formatter, the type
# checker, the manual's build and all tests with coverage.
# Arguments go to pytest, which then runs alone: ./tools/test.sh tests/models/test_losses.py
# Two processes share the test files; TEST_PROCESSES=1 uses one.
set -euo pipefail
cd "$(dirname "$0")/.."
source tools/environment.sh
make_environment dev
tests=(-m pytest --numprocesses="${TEST_PROCESSES:-2}" --dist=loadfile
  --no-loadscope-reorder)
[ "$#" -eq 0 ] || exec "$PYTHON" "${tests[@]}" "$@"

./tools/lint.sh
./tools/manual.sh
mkdir -p build
coverage=build/coverage.json
# The settings are in pyproject.toml. The limit is checked separately: with several
# processes, a single call would leave the report empty (slipcover 1.1.0).
"$PYTHON" -m slipcover --json --out="$coverage" "${tests[@]}"
exec "$PYTHON" -m slipcover --merge "$coverage" --out="$coverage" --skip-covered \
  --fail-under=92
