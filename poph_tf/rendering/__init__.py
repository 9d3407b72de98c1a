"""Pieces as pictures, sound and pages: functions from a piece to a value.

`saving` is the only module that knows paths; it writes those values to files.
"""
