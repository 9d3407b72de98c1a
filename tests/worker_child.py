"""One worker of several, for tests: python worker_child.py ARGUMENTS

Trains a small biaxial without dropout; after the step `signal_at` it sends itself the
signal `signal_number`. Prints one line of JSON for each step and one at the end; ends
with 75 where a command would.
"""

import json
import os
import pathlib
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]


def main(hosts, index, data_dir, model_dir, settings, signal_at=0, signal_number=0):
    from poph_tf import config, errors
    from poph_tf.training import distribution

    workers = config.DistributionConfig(
        strategy="multi_worker_mirrored", worker_hosts=hosts, worker_index=index
    )
    strategy = distribution.make(workers)
    import small
    import tensorflow as tf

    from poph_tf.training import trainer as trainer_lib

    # As in training_child.py: to optimize graphs this small takes longer than they do.
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})

    def on_step(step, sums):
        print(json.dumps({"step": int(step), "loss": sums["loss"]}), flush=True)
        if step == signal_at:
            os.kill(os.getpid(), signal_number)

    trainer = trainer_lib.Trainer(
        small.without_dropout(
            small.model_config("biaxial", num_time_layers=1, num_pitch_layers=1)
        ),
        config.TrainingConfig(**settings),
        data_dir,
        model_dir,
        strategy,
    )
    try:
        outcome = trainer.run(report=lambda line: None, on_step=on_step)
    except errors.Interrupted as stop:
        print(json.dumps({"interrupted": str(stop)}), flush=True)
        return 75
    except errors.InputError as error:
        print(json.dumps({"error": str(error)}), flush=True)
        return 2
    print(json.dumps({"outcome": outcome}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(**json.loads(sys.argv[1])))
