"""Shared fixtures."""

import os
import shutil

# Two test processes on two cores: a thread each, for the tests and for the commands that they start.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory):
    """A directory with an untrained 0.2M model and its tokenizer."""
    from zipthought.models.loading import save
    from zipthought.models.tiny import build_tiny, tiny_config
    from zipthought.models.tokenizer import build_tokenizer

    directory = tmp_path_factory.mktemp("base")
    tokenizer = build_tokenizer()
    special = (tokenizer.pad_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id)
    save(build_tiny(tiny_config("llama", "0.2M", len(tokenizer), *special), 0), tokenizer, directory)
    return directory


@pytest.fixture
def here(inputs, tmp_path, monkeypatch):
    """A copy of what the fixture `inputs` of a test file has made, as the working directory."""
    shutil.copytree(inputs, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path
