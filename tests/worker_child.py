"""One worker of several, for tests: `forks.Fork(worker_child.work, ...)`

Trains a small biaxial without dropout; after the step `signal_at` it sends itself the
signal `signal_number`. Tells a dict for each step and one at the end; exits with 75
where a command would.
"""

import os


def work(
    tell, hosts, index, data_dir, model_dir, settings, signal_at=0, signal_number=0
):
    """Trains as worker `index` of `hosts`; returns the exit code."""
    from poph_tf import config, errors
    from poph_tf.training import distribution

    workers = config.DistributionConfig(
        strategy="multi_worker_mirrored", worker_hosts=hosts, worker_index=index
    )
    strategy = distribution.make(workers)
    import small
    import tensorflow as tf

    from poph_tf.training import trainer as trainer_lib

    # As in training_child.py: optimizing graphs this small takes longer than running.
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})

    def on_step(step, sums):
        tell({"step": int(step), "loss": sums["loss"]})
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
        tell({"interrupted": str(stop)})
        return 75
    except errors.InputError as error:
        tell({"error": str(error)})
        return 2
    tell({"outcome": outcome})
    return 0
