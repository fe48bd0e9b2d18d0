"""python train_sft.py MODEL OUTPUT_DIR    (or: accelerate launch train_sft.py MODEL OUTPUT_DIR)

Written by `zipthought export`. MODEL needs a chat template that reads `reasoning_content`, as Qwen3 has.
"""

import sys
from pathlib import Path

from datasets import load_dataset
from trl import SFTConfig, SFTTrainer

HERE = Path(__file__).parent

if __name__ == "__main__":
    data = load_dataset("json", data_files=str(HERE / "train.jsonl"), split="train")
    config = SFTConfig(output_dir=sys.argv[2], assistant_only_loss=True, report_to="none")
    SFTTrainer(model=sys.argv[1], args=config, train_dataset=data).train()
