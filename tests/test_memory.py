"""What training needs of memory: the figures against saved tensors, and the shapes against public model cards."""

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

from zipthought.models.shapes import KNOWN, Shape, known_shape
from zipthought.train.memory import cache_bytes, layer_bytes, token_bytes


def saved_bytes(model, length, checkpointing):
    """Bytes that the decoder keeps for the backward pass of `length` tokens, apart from weights and their copies."""
    fixed = {parameter.shape for parameter in model.parameters()} | {p.shape[::-1] for p in model.parameters()}
    found, kept = {}, []

    def pack(tensor):
        if tensor.shape not in fixed:
            found[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            kept.append(tensor)  # No other tensor gets its address.
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t), torch.autocast("cpu", torch.bfloat16):
        ids = torch.randint(0, 100, (1, length))
        model.get_decoder()(input_ids=ids, use_cache=False)
    return sum(found.values())


@pytest.mark.parametrize(
    ("kind", "sizes"),
    [
        pytest.param(
            (Qwen2Config, Qwen2ForCausalLM), (2048, 11_008, 16, 2), marks=pytest.mark.long, id="a layer of Qwen2.5-3B"
        ),
        pytest.param((LlamaConfig, LlamaForCausalLM), (576, 1536, 9, 3), id="a layer of SmolLM2-135M"),
    ],
)
def test_a_layer_keeps_what_the_figures_say(kind, sizes):
    hidden, intermediate, heads, kv_heads = sizes

    def kept(layers, checkpointing=False):
        config = kind[0](
            hidden_size=hidden,
            intermediate_size=intermediate,
            num_attention_heads=heads,
            num_key_value_heads=kv_heads,
            num_hidden_layers=layers,
            vocab_size=100,
        )
        model = kind[1](config).train()
        if checkpointing:
            model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        # Of two lengths, what does not depend on the length is gone.
        return (saved_bytes(model, 96, checkpointing) - saved_bytes(model, 32, checkpointing)) / 64, config

    (one, _), (two, config) = kept(1), kept(2)
    shape = Shape.of(config.to_dict())
    assert two - one == pytest.approx(layer_bytes(shape), rel=0.02)
    if hidden < 1000:  # A large layer takes seconds.
        checkpointed = kept(2, checkpointing=True)[0] - kept(1, checkpointing=True)[0]
        assert checkpointed == pytest.approx(4 * hidden, rel=0.02)


@pytest.mark.parametrize(
    ("name", "millions"),
    [
        ("Qwen/Qwen2.5-0.5B", 494),
        ("Qwen/Qwen2.5-1.5B-Instruct", 1_544),
        ("Qwen/Qwen2.5-3B", 3_086),
        ("Qwen/Qwen2.5-7B", 7_616),
        ("HuggingFaceTB/SmolLM2-135M-Instruct", 134.5),
        ("HuggingFaceTB/SmolLM2-1.7B", 1_711),
        ("meta-llama/Llama-3.2-1B", 1_236),
    ],
)
def test_known_shapes_have_the_parameters_of_their_cards(name, millions):
    assert known_shape(name).parameters / 1e6 == pytest.approx(millions, rel=0.001)


def test_the_shape_of_a_directory_and_of_an_unknown_model(tmp_path):
    model = LlamaForCausalLM(
        LlamaConfig(
            hidden_size=32, intermediate_size=64, num_attention_heads=4, num_key_value_heads=2, num_hidden_layers=2,
            vocab_size=50, tie_word_embeddings=True,
        )
    )  # fmt: skip
    model.save_pretrained(tmp_path)
    assert known_shape(str(tmp_path)).parameters == pytest.approx(model.num_parameters(), rel=0.01)
    assert known_shape("someone/unknown") is None
    with pytest.raises(ValueError, match="hidden_size"):
        Shape.of({"vocab_size": 3})


def test_checkpointing_saves_memory_and_logits_do_not_depend_on_it():
    shape = KNOWN["Qwen/Qwen2.5-3B"]
    plain, checkpointed = token_bytes(shape, False), token_bytes(shape, True)
    assert 2.5 < plain / checkpointed < 3.5
    assert cache_bytes(shape) == 36_864  # 36 layers, keys and values, 2 heads of 128, two bytes.
