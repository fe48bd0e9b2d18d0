"""Shared fixtures."""

import gc
import os
import shutil

# Two test processes on two cores: a thread each, for the tests and for the commands that they start.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest


def pytest_collection_finish():
    """Collections need not look through all that the tests and the libraries have imported."""
    gc.freeze()


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory):
    """A directory with an untrained model of one layer and its tokenizer."""
    from zipthought.models.loading import save
    from zipthought.models.tiny import build_tiny, tiny_config
    from zipthought.models.tokenizer import build_tokenizer

    directory = tmp_path_factory.mktemp("base")
    tokenizer = build_tokenizer()
    special = (tokenizer.pad_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id)
    config = tiny_config("llama", "0.2M", len(tokenizer), *special)
    config.num_hidden_layers = 1  # Half of the time of each token that the tests decode.
    save(build_tiny(config, 0), tokenizer, directory)
    return directory


@pytest.fixture
def in_process(monkeypatch):
    """`study run` runs its cells in this process."""
    from small_study import run_in_process

    monkeypatch.setattr("zipthought.study.runner.run", run_in_process)


@pytest.fixture
def here(inputs, tmp_path, monkeypatch):
    """A copy of what the fixture `inputs` of a test file has made, as the working directory."""
    shutil.copytree(inputs, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path
