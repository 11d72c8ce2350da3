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

fail() {
    echo "slurm.sh: $1" >&2
    exit 1
}

# An address of this node that the others can reach: its own name often means its loopback (127.0.1.1 on Debian).
reachable() { grep -E '^[0-9]+(\.[0-9]+){3}$' | grep -v '^127\.' | head -n 1; }
head=$(getent ahostsv4 "$(hostname)" | cut -d' ' -f1 | reachable)
head=${head:-$(hostname -I | tr ' ' '\n' | reachable)}
[ -n "$head" ] || fail "no IPv4 address of $(hostname) but its loopback: set head= to one that the other nodes reach"
export RAY_ADDRESS=$head:$((20000 + SLURM_JOB_ID % 10000))
export tries=40                     # of what is waited for, 5 to 20 s each

# The first task starts where this script runs.  --block: Ray ends with its task.
srun --kill-on-bad-exit=0 bash -c '
    size="--num-cpus=$SLURM_CPUS_PER_TASK --block"
    if [ "$SLURM_PROCID" = 0 ]; then
        address=$RAY_ADDRESS
        unset RAY_ADDRESS
        exec ray start --head --node-ip-address=${address%:*} --port=${address#*:} --dashboard-host=127.0.0.1 $size
    fi
    until ray start --address=$RAY_ADDRESS $size; do
        [ $((tries -= 1)) -gt 0 ] || exit 1
        sleep 5
    done' &
cluster=$!

# Nodes that have joined; nothing where the head does not answer.
joined() {
    timeout 15 ray health-check --address "$RAY_ADDRESS" 2> /dev/null && timeout 60 python3 -c '
import ray
ray.init(log_to_driver=False)
print(sum(node["Alive"] for node in ray.nodes()))' 2> /dev/null
}
nodes=0
for try in $(seq $tries); do
    nodes=$(joined)
    [ "${nodes:-0}" -lt "$SLURM_JOB_NUM_NODES" ] || break
    kill -0 $cluster 2> /dev/null || fail "Ray did not start, see above"
    sleep 5
done
[ "${nodes:-0}" -ge "$SLURM_JOB_NUM_NODES" ] ||
    fail "${nodes:-0} of $SLURM_JOB_NUM_NODES nodes have joined the Ray at $RAY_ADDRESS: is that address reachable?"
echo "$nodes nodes have joined the Ray at $RAY_ADDRESS"

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
