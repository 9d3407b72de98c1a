"""A development server that speaks TF Serving's REST dialect; see poph_tf/serve.py."""
