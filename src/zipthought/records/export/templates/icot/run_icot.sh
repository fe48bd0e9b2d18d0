#!/usr/bin/env bash
# Stepwise internalization by the code of its authors. Written by `zipthought export`.
#   ICOT=/path/to/Internalize_CoT_Step_by_Step MODEL=gpt2 bash run_icot.sh OUTPUT_DIR
set -euo pipefail
cd "$(dirname "$0")"
python3 "${ICOT:?set ICOT to a checkout of da03/Internalize_CoT_Step_by_Step}/src/train.py" \
  --train_path train.txt --val_path @HELD_OUT@ \
  --model "${MODEL:-gpt2}" --save_model "${1:?name an output directory}" \
  --lr 5e-5 --batch_size 32 --epochs 200 --seed 0 \
  --remove_per_epoch 8 --remove_all_when_remove_beyond inf --removal_smoothing_lambda 4 --removal_side left \
  --pretrain_epochs 0 --reset_optimizer "${@:2}"
