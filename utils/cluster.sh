# shellcheck shell=bash
# Where run.sh computes shards of features, validation, posteriors and search: Kaldi's cmd.sh. docs/cluster.md
# Sourced by recipes/*/run.sh; --cluster and variables that are already set come first.

export ASRKIT_CLUSTER=${ASRKIT_CLUSTER:-local} # or dask:HOST:PORT, or slurm

# A job of slurm; all settings: dask-jobqueue's documentation
# export DASK_JOBQUEUE__SLURM__QUEUE=cpu DASK_JOBQUEUE__SLURM__WALLTIME=04:00:00
# export DASK_JOBQUEUE__SLURM__CORES=4 DASK_JOBQUEUE__SLURM__MEMORY=16GB
