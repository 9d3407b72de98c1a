#!/usr/bin/env bash
# Sets up .venv with what the tests need, then runs the linter, the formatter, the type
# checker, the manual's build and all tests with coverage.
# Arguments go to pytest, which then runs alone: ./tools/test.sh tests/models/test_losses.py
# Two processes share the test files; TEST_PROCESSES=1 takes one.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ "$#" -eq 0 ]; then
  ./tools/lint.sh
  ./tools/manual.sh
  set -- --cov --cov-report=term:skip-covered --cov-fail-under=87
fi
source tools/environment.sh
make_environment dev
exec "$PYTHON" -m pytest --numprocesses="${TEST_PROCESSES:-2}" --dist=loadfile \
  --no-loadscope-reorder "$@"
