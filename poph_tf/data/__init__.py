"""Music files and what they say: notes, bars, scores, and their place on the grid."""
