"""One module for each thing that benchmark.py measures, each with `run(quick)`."""
