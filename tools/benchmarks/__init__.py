"""One module for each thing that tools/benchmark.py measures, each with `run(quick)`."""
