"""Training runs: the loop, its state and steps, validation, checkpoints and logs.

`trainer` is the run from top to bottom; `run_state` holds what a checkpoint keeps,
`train_step` takes a step, `validation` scores, `run_log` writes the files of a run, and
`distribution` and `cluster` spread it over devices and processes.
"""
