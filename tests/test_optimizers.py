"""The contracts of optimizers and model families, over everything that is registered."""

from types import SimpleNamespace

import pytest
import torch

from zipthought.models.families import MODEL_FAMILIES, ModelFamily, Shape, Vocabulary
from zipthought.models.tiny import build_tiny, grow, tiny_config
from zipthought.train.config import OptimizerConfig, PretrainConfig, RLVRConfig, SFTConfig
from zipthought.train.optimizers import OPTIMIZERS, Optimizer, build_optimizers

VOCABULARY = Vocabulary(size=50, pad=0, bos=1, eos=2)


def tiny(family, seed=0):
    return build_tiny(tiny_config(family, "0.2M", *VOCABULARY), seed)


def loss_of(model):
    ids = torch.arange(3, 43).view(2, 20)
    return model(input_ids=ids, labels=ids).loss


@pytest.mark.parametrize("family", MODEL_FAMILIES)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_holds_every_parameter_once_and_lowers_the_loss(name, family):
    model = tiny(family)
    config = OptimizerConfig(optimizer=name, learning_rate=3e-3)
    optimizers = OPTIMIZERS.find(name).build(model, config)
    held = [id(p) for optimizer in optimizers for group in optimizer.param_groups for p in group["params"]]
    assert sorted(held) == sorted(id(p) for p in model.parameters())
    assert all(group["lr"] == 3e-3 for optimizer in optimizers for group in optimizer.param_groups)
    assert OPTIMIZERS[name].single == (len(optimizers) == 1)
    before = loss_of(model).item()
    for _ in range(5):
        loss_of(model).backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
    assert loss_of(model).item() < before


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_engine_trl_takes_single_optimizers_only(name):
    for config in (SFTConfig, RLVRConfig):
        settings = {"engine": "trl", "optimizer": OptimizerConfig(optimizer=name)}
        if OPTIMIZERS[name].single:
            assert config(**settings).engine == "trl"
        else:
            with pytest.raises(ValueError, match=f"cannot run the optimizer '{name}'; use adamw"):
                config(**settings)


@pytest.mark.parametrize("name", MODEL_FAMILIES)
def test_every_family_is_the_architecture_of_its_name_and_grows_without_a_change_or_says_that_it_cannot(name):
    config = MODEL_FAMILIES[name].config(Shape(64, 2, 2), VOCABULARY)
    assert config.model_type == name
    assert (config.hidden_size, config.num_hidden_layers, config.num_attention_heads) == (64, 2, 2)
    assert (config.vocab_size, config.pad_token_id, config.bos_token_id, config.eos_token_id) == VOCABULARY
    model = tiny(name).eval()
    assert model.get_input_embeddings().weight is model.get_output_embeddings().weight, "tied"
    ids = torch.arange(3, 23)[None]
    if not MODEL_FAMILIES[name].output_weights(model, 1):
        with pytest.raises(ValueError, match="cannot grow"):
            grow(model, 1, seed=0)
    else:
        grown = grow(model, 2, seed=1).eval()
        assert grown.config.num_hidden_layers == model.config.num_hidden_layers + 2
        assert torch.equal(grown(ids).logits, model(ids).logits)


def test_names_that_do_not_exist_are_refused_where_the_config_is_built():
    with pytest.raises(ValueError, match="unknown optimizer 'sgd'; use adamw, muon"):
        OptimizerConfig(optimizer="sgd")
    with pytest.raises(ValueError, match="unknown model family 'rnn'; use llama, gpt2"):
        PretrainConfig(family="rnn")


def test_a_missing_member_is_named():
    with pytest.raises(TypeError, match="the optimizer 'sgd' lacks single, build"):
        OPTIMIZERS.register(SimpleNamespace(NAME="sgd"))
    with pytest.raises(TypeError, match="the model family 'rnn' lacks output_weights"):
        MODEL_FAMILIES.register(SimpleNamespace(NAME="rnn", config=dict))


def test_a_registered_optimizer_trains():
    class SGD(Optimizer):
        NAME = "sgd"
        single = True

        def build(self, model, config):
            return [torch.optim.SGD(model.parameters(), lr=config.learning_rate)]

    OPTIMIZERS.register(SGD())
    try:
        assert OptimizerConfig(optimizer="sgd").optimizer == "sgd"
        assert SFTConfig(engine="trl", optimizer=OptimizerConfig(optimizer="sgd")).engine == "trl"
    finally:
        OPTIMIZERS.unregister("sgd")


def test_a_registered_family_builds():
    class Wide(ModelFamily):
        NAME = "wide"

        def config(self, shape, vocabulary):
            return MODEL_FAMILIES["gpt2"].config(shape._replace(width=2 * shape.width), vocabulary)

        def output_weights(self, model, layers):
            return []

    MODEL_FAMILIES.register(Wide())
    try:
        assert tiny_config("wide", "0.2M", *VOCABULARY).hidden_size == 160
    finally:
        MODEL_FAMILIES.unregister("wide")


def test_an_optimizer_that_leaves_parameters_out_is_refused():
    class Lazy(Optimizer):
        NAME = "lazy"
        single = True

        def build(self, model, config):
            return [torch.optim.SGD(list(model.parameters())[:1], lr=config.learning_rate)]

    OPTIMIZERS.register(Lazy())
    try:
        model = tiny("llama")
        with pytest.raises(ValueError, match="'lazy' does not hold every trainable parameter once"):
            build_optimizers(model, OptimizerConfig(optimizer="lazy", learning_rate=1e-3))
    finally:
        OPTIMIZERS.unregister("lazy")
