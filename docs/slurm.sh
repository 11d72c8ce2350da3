#!/bin/bash
# A study inside one Slurm allocation: `sbatch docs/slurm.sh study.toml`.  The head of Ray and its workers live as long
# as the job; the rows lie in the study's `path`, on a file system that all nodes share.
#SBATCH --nodes=4                   # EDIT these four
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=32
#SBATCH --time=24:00:00
#SBATCH --ntasks-per-node=1
#SBATCH --signal=B:TERM@600         # ten minutes before the end: longer than an epoch of the largest network
#SBATCH --requeue
#SBATCH --open-mode=append

# The environment with archsweep[cluster] must be active on all nodes.  One token for all, in the shared home folder:
#   ray get-auth-token --generate
export RAY_AUTH_MODE=token
head=$(hostname --ip-address | cut -d' ' -f1)
export RAY_ADDRESS=$head:$((20000 + SLURM_JOB_ID % 10000))

# The first task starts where this script runs.  --block: Ray ends with its task.
srun --kill-on-bad-exit=0 bash -c '
    size="--num-cpus=$SLURM_CPUS_PER_TASK --block"
    if [ "$SLURM_PROCID" = 0 ]; then
        address=$RAY_ADDRESS
        unset RAY_ADDRESS
        exec ray start --head --port=${address#*:} --dashboard-host=127.0.0.1 $size
    fi
    until ray start --address=$RAY_ADDRESS $size; do sleep 5; done' &
until ray health-check --address "$RAY_ADDRESS" 2> /dev/null; do sleep 2; done

archsweep run "${1:-study.toml}" &
driver=$!
trap 'kill -TERM $driver' TERM      # trials end after the epoch they are in and keep a checkpoint
wait $driver
code=$?
if [ $code -gt 128 ]; then          # it was this script's wait that the signal ended
    wait $driver
    code=$?
fi
if [ $code -eq 3 ]; then            # stopped with work left: the same job goes on in its next allocation
    scontrol requeue "$SLURM_JOB_ID"
fi
exit $code
