"""python train_grpo.py MODEL OUTPUT_DIR    (or: accelerate launch train_grpo.py MODEL OUTPUT_DIR)

Written by `zipthought export`.
"""

import sys
from pathlib import Path

import torch
from datasets import load_dataset
from reward import reward
from trl import GRPOConfig, GRPOTrainer

HERE = Path(__file__).parent

if __name__ == "__main__":
    data = load_dataset("json", data_files=str(HERE / "train.jsonl"), split="train")
    config = GRPOConfig(
        output_dir=sys.argv[2],
        num_generations=8,
        report_to="none",
        bf16=torch.cuda.is_available(),
        use_cpu=not torch.accelerator.is_available(),
    )
    GRPOTrainer(model=sys.argv[1], reward_funcs=[reward], args=config, train_dataset=data).train()
