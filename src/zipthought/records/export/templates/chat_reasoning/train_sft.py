"""python train_sft.py MODEL OUTPUT_DIR    (or: accelerate launch train_sft.py MODEL OUTPUT_DIR)

Written by `zipthought export`. MODEL needs a chat template that reads `reasoning_content`, as Qwen3 has.
"""

import sys
from pathlib import Path

import torch
from datasets import load_dataset
from trl import SFTConfig, SFTTrainer

HERE = Path(__file__).parent


def end_of_turn(tokenizer):
    """The token that the chat template writes after the assistant's text. A base model often has another end of
    sequence, and would go on after its turn."""
    if not tokenizer.chat_template:
        return tokenizer.eos_token_id
    turns = [{"role": "user", "content": "question"}, {"role": "assistant", "content": "reply"}]
    closing = tokenizer.apply_chat_template(turns, tokenize=False).rpartition("reply")[2]
    ids = tokenizer(closing, add_special_tokens=False)["input_ids"]
    return next((token for token in ids if token in tokenizer.added_tokens_decoder), tokenizer.eos_token_id)


if __name__ == "__main__":
    data = load_dataset("json", data_files=str(HERE / "train.jsonl"), split="train")
    config = SFTConfig(
        output_dir=sys.argv[2],
        assistant_only_loss=True,
        report_to="none",
        bf16=torch.cuda.is_available(),
        use_cpu=not torch.accelerator.is_available(),
    )
    trainer = SFTTrainer(model=sys.argv[1], args=config, train_dataset=data)
    ends = {end_of_turn(trainer.processing_class), trainer.processing_class.eos_token_id}
    trainer.model.generation_config.eos_token_id = sorted(ends - {None})
    trainer.train()
