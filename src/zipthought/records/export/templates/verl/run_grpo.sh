#!/usr/bin/env bash
# GRPO with the settings of the paper (256 prompts a step, 8 rollouts, KL 0.001 with the k3 estimator in the loss).
#   MODEL=Qwen/Qwen2.5-3B-Instruct GPUS=8 bash run_grpo.sh
set -euo pipefail
cd "$(dirname "$0")"
case "${REWARD:-outcome}" in
  *of=thinking*) ;; # Where the thinking part ends is not in a length: see compute_scores in reward.py.
  group-length* | pass-rate-length*) # Rewards that compare the completions of a prompt: see group_advantage.py.
    export VERL_USE_EXTERNAL_MODULES=group_advantage PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"
    set -- algorithm.adv_estimator=zipthought_group "$@" ;;
esac
python3 -m verl.trainer.main_ppo \
  algorithm.adv_estimator=grpo \
  data.train_files=train.parquet data.val_files=@HELD_OUT@ data.prompt_key=prompt \
  data.train_batch_size=256 data.max_prompt_length=1024 data.max_response_length=2048 \
  actor_rollout_ref.model.path="${MODEL:?set MODEL to the model after SFT}" \
  actor_rollout_ref.actor.optim.lr=1e-6 actor_rollout_ref.actor.ppo_mini_batch_size=256 \
  actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu=8 \
  actor_rollout_ref.actor.use_kl_loss=True actor_rollout_ref.actor.kl_loss_coef=0.001 \
  actor_rollout_ref.actor.kl_loss_type=low_var_kl actor_rollout_ref.actor.entropy_coeff=0 \
  actor_rollout_ref.rollout.name=vllm actor_rollout_ref.rollout.n=8 actor_rollout_ref.rollout.temperature=1.0 \
  actor_rollout_ref.rollout.log_prob_micro_batch_size_per_gpu=16 \
  actor_rollout_ref.rollout.tensor_model_parallel_size=1 \
  actor_rollout_ref.ref.log_prob_micro_batch_size_per_gpu=16 \
  custom_reward_function.path=reward.py custom_reward_function.name=compute_score \
  trainer.total_training_steps=150 trainer.n_gpus_per_node="${GPUS:-1}" trainer.nnodes=1 \
  trainer.logger='["console"]' trainer.project_name=zipthought trainer.experiment_name=grpo "$@"
