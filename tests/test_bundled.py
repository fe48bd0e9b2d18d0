"""The bundled bases: their cards are true, they load with plain transformers, and they reach their accuracy."""

import hashlib
import json
from pathlib import Path

import pytest

from zipthought.evaluation.config import EvaluateConfig
from zipthought.evaluation.evaluate import evaluate
from zipthought.evaluation.primitives import primitive_accuracy
from zipthought.models.loading import load
from zipthought.models.names import BUNDLED, resolve
from zipthought.train.primitives import Primitives
from zipthought.train.record import trained_structures


@pytest.fixture(scope="module", params=BUNDLED)
def directory(request):
    return Path(resolve(request.param))


def test_the_card_names_these_weights(directory):
    weights = (directory / "model.safetensors").read_bytes()
    card = json.loads((directory / "card.json").read_text())
    assert hashlib.sha256(weights).hexdigest() == card["sha256"]
    assert card["sha256"] in (directory / "README.md").read_text()
    assert len(weights) < 10_000_000


def test_training_can_start_from_it(directory):
    """The record of the problems that it was trained on is whole: it was trained on none of the train split."""
    assert trained_structures(str(directory)) == set()


def test_it_loads_with_plain_transformers(directory):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, tokenizer = AutoModelForCausalLM.from_pretrained(directory), AutoTokenizer.from_pretrained(directory)
    card = json.loads((directory / "card.json").read_text())
    assert model.num_parameters() == card["parameters"]
    assert tokenizer("mod 23 . ? lamps").input_ids[0] != tokenizer.unk_token_id


def within(measured, stated, count):
    """Whether a share of `count` is at least the stated one, less four of its standard errors."""
    return measured >= stated - 4 * (stated * (1 - stated) / count) ** 0.5 - 0.02


def test_its_accuracy_is_what_the_card_says(directory):
    """On 60 held-out problems of each length. A neutral base solves nearly none, an explicit one more than 0.9."""
    card = json.loads((directory / "card.json").read_text())
    model, tokenizer = load(directory.name)
    config = EvaluateConfig(n_ops=(2, 3, 4), count=60, orders=("forward",))
    for n_ops, row in evaluate(model, tokenizer, config).summary().by_n_ops.items():
        assert within(row.accuracy, card["accuracy"][str(n_ops)]["accuracy"], row.n)
        if "primitives" in card["recipe"]:
            assert row.accuracy < 0.4
        else:
            assert row.accuracy > (0.6 if directory.name == "bundled-mixed" else 0.9)


def test_a_neutral_base_knows_its_primitives(directory):
    card = json.loads((directory / "card.json").read_text())
    if "primitives" not in card:
        pytest.skip("a base of whole traces")
    model, tokenizer = load(directory.name)
    recipe = card["recipe"]
    primitives = Primitives(
        recipe["modulus"], recipe["number_range"], recipe["n_ops"], wide_numbers=recipe["wide_numbers"]
    )
    for name, accuracy in primitive_accuracy(model, tokenizer, primitives, list(card["primitives"]), 60).items():
        assert within(accuracy, card["primitives"][name], 60), name
