"""Primitives: every text is right; the stream; how a neutral base is measured, and its card."""

import json
from itertools import chain, pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from zipthought.cli import main
from zipthought.evaluation.primitives import exact, primitive_accuracy
from zipthought.evaluation.step0 import OTHER, Kind, habit
from zipthought.models.loading import load
from zipthought.models.names import resolve
from zipthought.models.tokenizer import MAX_NUMBER, build_tokenizer
from zipthought.records.chat import completion_ids, prompt_ids, prompt_messages
from zipthought.study import bases
from zipthought.study.cards import render_card, stages
from zipthought.surfaces import terse, verify
from zipthought.tasks.sampling import SamplerConfig
from zipthought.tasks.splits import split_of
from zipthought.train import pretrain
from zipthought.train.config import PRIMITIVES, PretrainConfig
from zipthought.train.loop import train_loop
from zipthought.train.pretrain import PrimitiveStream
from zipthought.train.primitives import Primitives

MODULUS = 23
PAGE = 6
N_OPS = ((1, 0.2), (2, 0.3), (4, 0.3), (6, 0.2))
DRAWS = 300


def texts(name, count=DRAWS):
    primitives, rng = Primitives(MODULUS, 5, N_OPS, PAGE, 0.5), np.random.default_rng(7)
    return [primitives.draw(name, rng) for _ in range(count)]


def sentences(text):
    """The sentences of a text, as lists of words."""
    return [words for words in (part.split() for part in text.split(" .")) if words]


def value(words, x):
    """The value of an expression in `terse`, by Python: side by side means times, and a name is x."""
    out = ""
    for before, word in pairwise(["", *words]):
        if out and (word == "(" or word.isalpha()) and (before.isdigit() or before == ")"):
            out += "*"
        out += str(x) if word.isalpha() else word
    return eval(out, {"__builtins__": {}}) % MODULUS


def asked(prompt):
    """The problem of a prompt, with any target, and the words of its question."""
    body, _, question = prompt.rpartition("? ")
    names = [words[0] for words in sentences(body)]
    return terse.parse_problem(f"{body}? {names[0]}", MODULUS), question.split()


def stated(problem, names):
    return [[*f"{name} =".split(), *written(problem, name)] for name in names]


def written(problem, name):
    from zipthought.surfaces.expressions import write

    return list(write(problem.definitions[name], str))


def chain_to(problem, name):
    """The names from the start of the chain to `name`."""
    path = [name]
    while not isinstance(problem.definitions[path[0]], int):
        path.insert(0, next(o for o in problem.definitions[path[0]][1:] if isinstance(o, str)))
    return path


def test_every_primitive_has_its_draw():
    rng = np.random.default_rng(0)
    for name in PRIMITIVES:
        prompt, completion = Primitives(MODULUS, 5, N_OPS, PAGE, 0.5).draw(name, rng)
        assert prompt
        assert completion.endswith(".")


@pytest.mark.parametrize("name", ["facts", "forms"])
def test_facts_and_forms_evaluate(name):
    pages = texts(name)
    for prompt, completion in pages:
        asked_for, answered = sentences(prompt), sentences(completion)
        assert 1 <= len(asked_for) == len(answered) <= PAGE
        for side, whole in zip(asked_for, answered, strict=True):
            middle = whole.index("=")
            assert whole[:middle] == side
            result = whole[middle + 1 :]
            if name == "facts":
                assert len(result) == 1
            assert all(value(side, x) == value(result, x) for x in range(MODULUS))
            assert all(int(word) < MODULUS for word in result if word.isdigit())
    assert {len(sentences(prompt)) for prompt, _ in pages} == set(range(1, PAGE + 1))


def test_simple_forms_have_a_product_or_a_sum_alone():
    def products(share):
        rng, primitives = np.random.default_rng(3), Primitives(MODULUS, 5, N_OPS, simple_forms=share)
        prompts = [primitives.forms(rng)[0].split() for _ in range(200)]
        values = [words for words in prompts if not any(word.isalpha() for word in words)]
        return [(words[0] != "(", words[-2] != ")") for words in values]  # Whether it multiplies, whether it adds.

    assert (True, True) not in products(1.0)
    assert (True, True) in products(0.5)
    assert {(True, False), (False, True)} <= set(products(0.5))


def test_lookups_state_the_sentences_of_the_problem():
    for prompt, completion in texts("lookups"):
        problem, (mark, *names) = asked(prompt)
        assert mark == "="
        assert sentences(completion) == stated(problem, names)


def test_starts_state_the_sentence_where_the_chain_starts():
    for prompt, completion in texts("starts"):
        problem, (*mark, target) = asked(prompt)
        assert mark == ["+", "="]
        assert sentences(completion) == stated(problem, chain_to(problem, target)[:1])


@pytest.mark.parametrize("name", ["names", "sentences"])
def test_walks_follow_the_problem(name):
    directions, lengths, beyond = set(), set(), False
    for prompt, completion in texts(name):
        problem, question = asked(prompt)
        if name == "sentences":
            assert question.pop(0) == "="
            path = [words[0] for words in sentences(completion)]
            assert sentences(completion) == stated(problem, path)
        else:
            (path,) = sentences(completion)
        first_named = question[0].isalpha()
        (noun, mark) = question if first_named else reversed(question)
        assert noun == (path[0] if first_named else path[-1 if mark == "+" else 0])
        forward = path if mark == "+" else path[::-1]
        assert forward == chain_to(problem, forward[-1])
        used = any(
            forward[-1] in definition[1:]
            for definition in problem.definitions.values()
            if not isinstance(definition, int)
        )
        assert not (used and first_named), "a walk from a name ends at the end of its chain"
        beyond |= used
        directions.add((mark, first_named))
        lengths.add(len(path) - 1)
    assert directions == {("+", True), ("+", False), ("-", True), ("-", False)}
    assert lengths >= {1, 2, 4, 6}
    assert max(lengths) == 6
    assert beyond


@pytest.mark.parametrize("forward", [True, False])
def test_a_walk_has_the_length_that_is_asked_for(forward):
    rng = np.random.default_rng(3)
    for length in (1, 3, 9):
        for beyond in (0, 2):
            prompt, completion = Primitives(MODULUS, 5, N_OPS, PAGE, 0.5).walk(rng, length, forward, beyond)
            problem, (mark, target) = asked(prompt)
            path = completion.split()[:-1]
            assert len(path) == length + 1
            assert (path if forward else path[::-1]) == chain_to(problem, target)
            assert mark == ("+" if forward else "-")
            assert sum(not isinstance(d, int) for d in problem.definitions.values()) == length + beyond


def test_syntax_is_a_faithful_solution_in_every_format():
    lines = set()
    for prompt, completion in texts("syntax"):
        problem = terse.parse_problem(prompt, MODULUS)
        verdict = verify(completion, problem, "terse")
        assert verdict.faithful, (prompt, completion, verdict)
        assert problem.n_ops <= 2
        lines.add((problem.n_ops, len(sentences(completion))))
    assert len(lines) > 4


def followed(prompt):
    """The problem that a text follows to its target, if it has one chain, as the problems of a study. Texts with
    several chains name the start, or only state the sentences."""
    problem, question = asked(prompt)
    results = [name for name, definition in problem.definitions.items() if not isinstance(definition, int)]
    if len({chain_to(problem, name)[0] for name in results}) > 1 or question[-1] in "+-":
        return None
    target = next(word for word in question if word in problem.definitions)
    return terse.parse_problem(f"{prompt.rpartition('? ')[0]}? {target}", MODULUS)


@pytest.mark.parametrize("name", ["starts", "names", "sentences", "syntax"])
def test_no_text_has_the_solution_of_a_held_out_structure(name):
    """Texts with one chain, which a study could draw, are of the train split."""
    problems = [followed(prompt) for prompt, _ in texts(name)]
    assert None not in problems or name in ("names", "sentences")
    structures = [problem.structure for problem in problems if problem]
    assert len(structures) > DRAWS / 4
    assert {split_of(structure) for structure in structures} == {"train"}


def tuples(value):
    """JSON's lists as tuples."""
    return tuple(map(tuples, value)) if isinstance(value, list) else value


@pytest.mark.slow
@pytest.mark.parametrize("base", ["neutral", "neutral-2"])
def test_the_whole_pretraining_of_a_neutral_base_had_no_held_out_structure(base):
    """Every text of its runs, drawn again by the recipes in its card."""
    card = json.loads((Path(resolve(base)) / "card.json").read_text())
    tokenizer = build_tokenizer()
    words = {number: word for word, number in tokenizer.get_vocab().items()}
    checked = 0
    for run in stages(card):
        recipe = {name: tuples(value) for name, value in run["recipe"].items() if name not in ("init", "optimizer")}
        stream = PrimitiveStream(PretrainConfig(**recipe), tokenizer)
        for window in range(-(-run["recipe"]["steps"] // stream.WINDOW)):
            for example in chain.from_iterable(stream._window(window)):
                prompt = " ".join(words[number] for number in example.ids[: example.prompt_length])
                question = prompt.rpartition("? ")[2].split()
                if "?" in prompt and (question[0] != "=" or {"+", "-"} & set(question)):  # No fact, form or look-up.
                    problem = followed(prompt[prompt.index(" . ") + 3 :])
                    assert not problem or split_of(problem.structure) == "train"
                    checked += problem is not None
    assert checked > 100_000


def test_half_of_the_lookups_have_numbers_from_all_tokens():
    numbers = [int(w) for prompt, _ in texts("lookups") for w in prompt.split() if w.isdigit()]
    assert max(numbers) == MAX_NUMBER - 1


def test_the_stream_is_a_function_of_config_and_step():
    tokenizer = build_tokenizer()
    mix = tuple((name, 1 / 7) for name in PRIMITIVES)
    config = PretrainConfig(primitives=mix, n_ops=N_OPS, batch_size=4, positions=200)
    one, other = PrimitiveStream(config, tokenizer), PrimitiveStream(config, tokenizer)
    for step in (40, 0, 33, 1):
        batch, again = one(step), other(step)
        assert torch.equal(batch.ids, again.ids)
        assert torch.equal(batch.positions, again.positions)
        assert batch.positions.max() < 200
        even, odd = batch.positions[0], batch.positions[1]
        assert torch.equal(
            even[: int((batch.ids[0] != tokenizer.pad_token_id).sum())].diff().unique(), torch.tensor([1])
        )
        assert odd.diff()[:3].min() >= 0
    assert not torch.equal(one(0).ids, one(1).ids)
    assert one(0).positions is not None
    assert PrimitiveStream(PretrainConfig(primitives=(("facts", 1.0),)), tokenizer)(0).positions is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"primitives": (("poems", 1.0),)}, "unknown primitive 'poems'; use facts, forms"),
        ({"primitives": (("draw", 1.0),)}, "unknown primitive 'draw'"),
        ({"primitives": (("facts", 0.5), ("names", 0.4))}, "sum 1"),
        ({"primitives": (("facts", 1.5), ("names", -0.5))}, "sum 1"),
        ({"primitives": (("facts", 0.5), ("facts", 0.5))}, "each once"),
        ({"primitives": (("facts", 1.0),), "positions": -1}, "positions must be at least 0"),
        ({"positions": 9}, "it needs primitives"),
    ],
)
def test_mixes_of_primitives_that_mean_nothing_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        PretrainConfig(**changes)


def test_exact_counts_greedy_completions(tiny_base):
    """The text that the model itself writes, step by step, is exact; with another token it is not."""
    model, tokenizer = load(str(tiny_base))
    prompt = "3 * 4 ."
    ids = prompt_ids(tokenizer, prompt_messages(prompt, MODULUS, "terse"))
    end = completion_ids(tokenizer, "")
    with torch.no_grad():
        written = model.generate(torch.tensor([ids]), max_new_tokens=4, do_sample=False)[0, len(ids) :].tolist()
        # The end of the text must be the most probable token, too: the output layer of a bias that grows there.
        model.lm_head.bias = torch.nn.Parameter(torch.zeros(len(tokenizer)))
        model.lm_head.bias[end[0]] = 1e6
    assert end[1:] == []
    assert exact(model, tokenizer, [(prompt, "")], MODULUS) == 1.0
    text = tokenizer.decode(written)
    assert exact(model, tokenizer, [(prompt, ""), (prompt, text), ("2 + 2 .", "")], MODULUS) == pytest.approx(2 / 3)
    found = primitive_accuracy(model, tokenizer, Primitives(MODULUS, 5, N_OPS, PAGE, 0.5), ("facts", "names"), 4)
    assert found == {"facts": 0.0, "names": 0.0}


def test_the_habit_of_a_model(tiny_base):
    model, tokenizer = load(str(tiny_base))
    kinds = (Kind("explicit", "forward"), Kind("answer-only", "forward"))
    found = habit(model, tokenizer, SamplerConfig(n_ops=2), kinds, 6)
    assert found == habit(model, tokenizer, SamplerConfig(n_ops=2), kinds, 6)
    assert (found.accuracy, found.faithful, found.written) == (0.0, 0.0, {OTHER: 1.0})
    uniform = np.log(len(tokenizer))
    assert all(loss == pytest.approx(uniform, rel=0.1) for loss in found.loss.values())
    assert set(found.loss) == {"explicit forward", "answer-only forward"}


def stop_after_three(row):
    if row["step"] == 3:
        raise KeyboardInterrupt


NEUTRAL = (
    "pretrain",
    "--primitives",
    "facts",
    "0.5",
    "names",
    "0.5",
    "--n-ops",
    "1",
    "0.5",
    "2",
    "0.5",
    "--steps",
    "4",
)
SMALL = ("--batch-size", "4", "--size", "0.2M", "--json")


def test_a_neutral_base_has_its_card_and_resumes_in_the_same_bytes(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(bases, "MEASURED_COUNT", 3)
    monkeypatch.setattr(bases, "MEASURED_N_OPS", (1, 2))
    assert main([*NEUTRAL, *SMALL, "--output-dir", str(tmp_path / "a")]) == 0
    card = json.loads(capsys.readouterr().out)
    assert card["recipe"]["primitives"] == [["facts", 0.5], ["names", 0.5]]
    assert set(card["primitives"]) == {"facts", "names"}
    assert card["walks"] == {"forward": {"2": 0.0}, "backward": {"2": 0.0}}
    assert set(card["habit"]) == {"1", "2"}
    assert card["device"] == "cpu"
    page = (tmp_path / "a" / "README.md").read_text()
    for piece in ("# zipthought base, neutral", "| facts | 0.000 |", "| forward | 0.000 |", "no trace as its habit"):
        assert piece in page
    assert render_card(json.loads((tmp_path / "a" / "card.json").read_text())) == page
    on_gpu = render_card(card | {"device": "cuda", "environment": card["environment"] | {"gpu": "A GPU"}})
    assert f"on\nA GPU, torch {card['environment']['torch']}" in on_gpu

    # A run that stops after three steps and goes on gives the same weights.
    monkeypatch.setattr(pretrain, "train_loop", lambda *a, **k: train_loop(*a, **k | {"checkpoint_every": 2}))
    config = PretrainConfig(
        primitives=(("facts", 0.5), ("names", 0.5)), n_ops=((1, 0.5), (2, 0.5)), steps=4, batch_size=4, size="0.2M"
    )
    with pytest.raises(KeyboardInterrupt):
        bases.make_base(config, tmp_path / "b", threads=1, on_step=stop_after_three)
    resumed = []
    again = bases.make_base(
        config, tmp_path / "b", threads=1, resume=True, on_step=lambda row: resumed.append(row["step"])
    )
    assert resumed == [3, 4]
    assert again["sha256"] == card["sha256"]
