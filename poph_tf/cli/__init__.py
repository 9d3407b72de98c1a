"""Shared code of the commands: start and end, flags, progress, quiet imports."""
