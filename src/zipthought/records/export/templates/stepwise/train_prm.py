"""python train_prm.py MODEL OUTPUT_DIR    (or: accelerate launch train_prm.py MODEL OUTPUT_DIR)

Written by `zipthought export`. It needs a TRL with PRMTrainer: trl<1.14.
"""

import sys
from pathlib import Path

import torch
from datasets import load_dataset
from transformers import AutoModelForTokenClassification, AutoTokenizer
from trl.experimental.prm import PRMConfig, PRMTrainer

HERE = Path(__file__).parent

if __name__ == "__main__":
    data = load_dataset("json", data_files=str(HERE / "train.jsonl"), split="train")
    model = AutoModelForTokenClassification.from_pretrained(sys.argv[1], num_labels=2, trust_remote_code=False)
    # The completions of a row end in their own line breaks or blanks. So nothing separates them, and the label of each
    # stands at its last token.
    config = PRMConfig(
        output_dir=sys.argv[2],
        step_separator="",
        report_to="none",
        bf16=torch.cuda.is_available(),
        use_cpu=not torch.accelerator.is_available(),
    )
    tokenizer = AutoTokenizer.from_pretrained(sys.argv[1], trust_remote_code=False)
    PRMTrainer(model=model, args=config, processing_class=tokenizer, train_dataset=data).train()
