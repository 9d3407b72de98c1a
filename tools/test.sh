#!/usr/bin/env bash
# Sets up .venv with what the tests need, then runs the linter, the formatter, the type
# checker, the manual's build and all tests with coverage.
# Arguments go to pytest, which then runs alone: ./tools/test.sh tests/models/test_losses.py
# Two processes share the test files; TEST_PROCESSES=1 takes one.
set -euo pipefail
cd "$(dirname "$0")/.."
source tools/environment.sh
make_environment dev
"$PYTHON" -m ruff check .
"$PYTHON" -m ruff format --check .
run_tests=("$PYTHON" -m pytest --numprocesses="${TEST_PROCESSES:-2}" --dist=loadfile
  --no-loadscope-reorder)
[ "$#" -gt 0 ] && exec "${run_tests[@]}" "$@"
"$PYTHON" -m mypy
NO_MKDOCS_2_WARNING=1 "$PYTHON" -m mkdocs build --strict --quiet --site-dir build/manual
exec "${run_tests[@]}" --cov --cov-report=term:skip-covered
