#!/bin/bash
# A study on the nodes of a Slurm allocation: Ray runs one cell on each GPU.
#
#   sbatch --nodes=4 examples/slurm.sh paper runs/paper         # a preset or a TOML file, and the study's directory
#
# The directory should be on a file system that all nodes see. Weights then go by path, progress is shown, and cells that
# were stopped go on from their checkpoints. Submit the same line again to continue after the time limit: finished cells
# are kept.
#
# Before the first run: put zipthought[ray] and its Python environment where all nodes see it, and models of the hub into
# the cache there (HF_HOME), because compute nodes often have no network. Look at the cost with --dry-run.
#
#SBATCH --job-name=zipthought
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=64
#SBATCH --mem=0
#SBATCH --exclusive
#SBATCH --time=24:00:00
#SBATCH --output=zipthought-%j.log

set -euo pipefail

STUDY=${1:?give a preset or a TOML file}
DIRECTORY=${2:?give the directory of the study}
PORT=${RAY_PORT:-6379}                # Two jobs on one node need different ports.
CPUS=${SLURM_CPUS_PER_TASK:-64}
GPUS=${SLURM_GPUS_ON_NODE:-8}
export HF_HUB_OFFLINE=${HF_HUB_OFFLINE:-1}
export RAY_USAGE_STATS_ENABLED=0
# Who can reach the ports of a Ray cluster can run code on it. All steps of this job share a token of its own.
export RAY_AUTH_MODE=token
RAY_AUTH_TOKEN=$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')
export RAY_AUTH_TOKEN
export PYTHONUNBUFFERED=1
# Modules with experiments of your own: every node inherits the variable.
# export ZIPTHOUGHT_PLUGINS=my_experiments
# source /shared/zipthought/.venv/bin/activate

# The batch script runs on the first node. It is the head of the Ray cluster, and runs cells, too.
HEAD=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | sed -n 1p)
# Its first IPv4 address. Where that is not the fast network, set HEAD_IP.
IP=${HEAD_IP:-$(srun --nodes=1 --ntasks=1 --nodelist="$HEAD" hostname --all-ip-addresses |
  awk '{ for (i = NF; i > 0; i--) if ($i ~ /[.]/) ip = $i } END { print ip }')}
ADDRESS=${IP:?the first node has no IPv4 address; set HEAD_IP}:$PORT
trap 'kill $(jobs -p) 2>/dev/null || true' EXIT        # Ray ends with the job.

# --overlap: the study below needs the cores of this node, too. --cpus-per-task: srun does not take it from sbatch.
# --block: the step lasts as long as Ray.
srun --overlap --nodes=1 --ntasks=1 --cpus-per-task="$CPUS" --nodelist="$HEAD" \
  ray start --head --node-ip-address="$IP" --port="$PORT" --num-cpus="$CPUS" --num-gpus="$GPUS" \
  --include-dashboard=false --block &

for _ in $(seq 30); do
  timeout 20 ray status --address "$ADDRESS" > /dev/null 2>&1 && break
  sleep 2
done
timeout 60 ray status --address "$ADDRESS"       # Ends the job here if the head has not started.

# The other nodes. The study starts at once and uses each as soon as it has joined.
if [ "$SLURM_JOB_NUM_NODES" -gt 1 ]; then
  others=$((SLURM_JOB_NUM_NODES - 1))
  srun --overlap --nodes="$others" --ntasks="$others" --cpus-per-task="$CPUS" --exclude="$HEAD" \
    ray start --address="$ADDRESS" --num-cpus="$CPUS" --num-gpus="$GPUS" --block &
fi

# --gpus is the number of GPUs of each cell, and --threads that of its cores: as many cells run on a node as fit both.
zipthought study run "$STUDY" --output-dir "$DIRECTORY" --backend ray --address "$ADDRESS" --gpus 1 --threads 4
