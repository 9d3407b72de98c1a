"""poph_tf composes polyphonic music with PopH, its ancestors and what lies beyond."""

__version__ = "0.1.0"
