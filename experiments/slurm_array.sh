#!/bin/sh
# A grid as a job array of Slurm: each task does its part of the runs, as many at a time as it has
# cores. Submitted again, it goes on where it was: finished runs are skipped, others continue.
#
#     sbatch experiments/slurm_array.sh experiments/cartpole.yaml [flags]
#
#SBATCH --job-name=rlcourse
#SBATCH --array=1-5
#SBATCH --cpus-per-task=2
#SBATCH --time=04:00:00
#SBATCH --signal=B:TERM@120
#SBATCH --requeue
#SBATCH --output=slurm-%A_%a.out
parts=5 # as many as --array has tasks

# exec: the signal, two minutes before the time is up, reaches Python, and every run saves.
exec "${PYTHON:-.venv/bin/python}" -m rlcourse.run "$@" \
    --part "${SLURM_ARRAY_TASK_ID:?is set by Slurm: use sbatch}/$parts" \
    --jobs "${SLURM_CPUS_PER_TASK:-1}"
