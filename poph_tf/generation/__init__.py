"""From settings to pieces: requests, controls, sampling, tasks, candidates."""
