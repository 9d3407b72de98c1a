#!/usr/bin/env bash
# Training on two hosts with a GPU each, under Slurm: sbatch slurm.sh
# All of it may be given on the command line too: sbatch --nodes=4 slurm.sh
#SBATCH --job-name=poph
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=1
#SBATCH --cpus-per-task=4
#SBATCH --time=12:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
# SIGTERM to the workers so many seconds before the time is up: they save and end.
#SBATCH --signal=TERM@180
set -uo pipefail

data_dir=${DATA_DIR:-data/x}
model_dir=${MODEL_DIR:-runs/x}
port=${PORT:-2222}

hosts=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | sed "s/\$/:$port/" | paste -sd,)
# Each task knows its own number. exec: signals reach Python, not the shell.
srun --kill-on-bad-exit=0 bash -c 'exec python -m poph_tf.train \
    --data_dir="$1" --model_dir="$2" --strategy=multi_worker_mirrored \
    --worker_hosts="$3" --worker_index="$SLURM_PROCID"' \
    train "$data_dir" "$model_dir" "$hosts"
code=$?

# srun ends with the highest code. 75: stopped, or another worker was lost; 137 and 143:
# killed. The same job starts again and goes on. After 1 and 2 it would fail again.
case $code in
75 | 137 | 143) scontrol requeue "$SLURM_JOB_ID" ;;
esac
exit "$code"
