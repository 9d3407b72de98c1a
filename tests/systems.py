"""The mark for tests that need features missing on Windows."""

import os

import pytest

IS_POSIX = hasattr(os, "fork")
ONLY_POSIX = "Windows has no forks, named pipes, limits of resources and such signals."
needs_posix = pytest.mark.skipif(not IS_POSIX, reason=ONLY_POSIX)
