"""What the command lines share: start and end, flags, progress, quiet imports."""
