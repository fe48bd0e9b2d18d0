"""The bundled bases: their cards are true, they load with plain transformers, and they reach their accuracy."""

import hashlib
import json
from pathlib import Path

import pytest

from zipthought.evaluation.config import EvaluateConfig
from zipthought.evaluation.evaluate import evaluate
from zipthought.models.loading import load
from zipthought.models.names import BUNDLED, resolve


@pytest.fixture(scope="module", params=BUNDLED)
def directory(request):
    return Path(resolve(request.param))


def test_the_card_names_these_weights(directory):
    weights = (directory / "model.safetensors").read_bytes()
    card = json.loads((directory / "card.json").read_text())
    assert hashlib.sha256(weights).hexdigest() == card["sha256"]
    assert card["sha256"] in (directory / "README.md").read_text()
    assert len(weights) < 10_000_000


def test_it_loads_with_plain_transformers(directory):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, tokenizer = AutoModelForCausalLM.from_pretrained(directory), AutoTokenizer.from_pretrained(directory)
    card = json.loads((directory / "card.json").read_text())
    assert model.num_parameters() == card["parameters"]
    assert tokenizer("mod 23 . ? lamps").input_ids[0] != tokenizer.unk_token_id


def test_its_accuracy_is_what_the_card_says(directory):
    """On 60 held-out problems of each length: within four standard errors of the card. Explicit bases are above 0.9."""
    card = json.loads((directory / "card.json").read_text())
    model, tokenizer = load(directory.name)
    config = EvaluateConfig(n_ops=(2, 3, 4), count=60, orders=("forward",))
    for n_ops, row in evaluate(model, tokenizer, config).summary().by_n_ops.items():
        stated = card["accuracy"][str(n_ops)]["accuracy"]
        error = (stated * (1 - stated) / row.n) ** 0.5
        assert row.accuracy >= stated - 4 * error - 0.02
        assert row.accuracy > (0.6 if directory.name == "bundled-mixed" else 0.9)
