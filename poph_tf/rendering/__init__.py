"""Renders pieces as pictures, sound and pages: functions from a piece to a value.

`saving` is the only module that deals with paths; it writes those values to files.
"""
