"""Rewards: correct and wrong completions, and arbitrary texts. The table of attacks is `test_attacks.py`."""

import math
import pickle
import random

import pytest

from zipthought.core.arithmetic import BinOp
from zipthought.core.compress import compress
from zipthought.core.problem import Problem
from zipthought.core.trace import Trace
from zipthought.records.schema import make_record
from zipthought.surfaces import SURFACES, get_surface
from zipthought.tasks.sampling import sample
from zipthought.train.rewards import (
    REWARDS,
    Attempt,
    Outcome,
    Reward,
    parse_reward,
    score_of,
    scores_of,
    verdict_or_none,
)


def final_answer(surface, value):
    """The text of a final answer alone, also of values that are no answer."""
    return get_surface(surface).render(Trace((), str(value)))


NAMES = [getattr(kind, "SYNTAX", name) for name, kind in REWARDS.items()]
"""A text of each reward."""


def score(name, completion, record, tokens=0):
    return parse_reward(name).score(Attempt.of_record(completion, record, tokens))


def record_in(surface, fmt="explicit", n_ops=3, index=0):
    return make_record(sample(n_ops=n_ops, index=index), fmt, surface=surface)


@pytest.mark.parametrize("surface", SURFACES)
def test_rewards_of_correct_and_wrong_completions(surface):
    record = record_in(surface)
    gold, right = record["completion"], record["answer"]
    wrong = str((int(right) + 1) % 23)
    alone = final_answer(surface, right)
    assert (score("outcome", gold, record), score("faithful", gold, record)) == (1.0, 1.0)
    assert (score("outcome", alone, record), score("faithful", alone, record)) == (1.0, 1.0), (
        "answer-only has no step that could be wrong"
    )
    assert score("outcome", final_answer(surface, wrong), record) == 0.0
    priced = "outcome+length:0.01"
    assert score(priced, gold, record, 30) == pytest.approx(0.7)
    assert score(priced, gold, record, 300) == 0.0, "never worth less than a wrong answer"
    assert score(priced, final_answer(surface, wrong), record, 3) == 0.0
    broken = gold.replace(" 3 ", " 4 ", 1) if " 3 " in gold else gold.replace("=", "= 1 +", 1)
    assert score("faithful", broken, record) == 0.0


@pytest.mark.parametrize("surface", SURFACES)
def test_steps_that_lie_are_not_faithful(surface):
    """The right answer after the steps of another problem earns the outcome reward, but not the faithful one."""
    for index in range(20):
        record = record_in(surface, index=index)
        other = sample(n_ops=3, index=index + 100)
        theirs = get_surface(surface).render(compress(other, "explicit"))
        end = final_answer(surface, other.answer)
        assert theirs.endswith(end)
        forged = theirs.removesuffix(end) + final_answer(surface, record["answer"])
        assert (score("outcome", forged, record), score("faithful", forged, record)) == (1.0, 0.0)


def test_gold_that_cannot_be_read_has_no_reward():
    record = record_in("english")
    for broken in (
        record | {"prompt": "What?"},
        record | {"prompt": None},
        record | {"modulus": "23"},
        record | {"modulus": 1},
        record | {"surface": "latin"},
        {"surface": "gsm8k", "prompt": "How many?", "answer": "many"},
    ):
        assert {n: score(n, record["completion"], broken, 5) for n in NAMES} == dict.fromkeys(NAMES)


def test_names_of_rewards():
    assert parse_reward("math:hypot")
    for bad in (
        "outcom",
        "outcome+length",
        "outcome+length:x",
        "outcome+length:-1",
        "outcome+length:1e999",
        "outcome:3",
        "faithful:",
        "no.mod:f",
    ):
        with pytest.raises(ValueError, match=r"reward|cost"):
            parse_reward(bad)
    with pytest.raises(ValueError, match="not a function"):
        parse_reward("math:pi")


@pytest.mark.parametrize("name", NAMES)
def test_every_reward_keeps_its_contract(name):
    """Registered rewards rank gold above wrong answers, are finite, are equal for equal texts, and survive pickling."""
    reward = parse_reward(name)
    assert isinstance(reward, Reward)
    assert parse_reward(name) == reward
    assert REWARDS[type(reward).NAME] is type(reward)
    assert pickle.loads(pickle.dumps(reward)) == reward
    for index in range(10):
        record = record_in("terse", index=index)
        wrong = f"answer {(int(record['answer']) + 1) % 23} ."
        gold = score(name, record["completion"], record, 20)
        assert -2 <= score(name, wrong, record, 3) < gold < float("inf")


PRICED = [
    "outcome+length:0.01",
    "outcome+length:1,of=thinking",
    "cosine:limit=512",
    "cosine:40,longest=0.01,wrong=-3",
    "overlong:limit=512,buffer=128",
    "overlong:limit=1,buffer=1",
    "group-length:alpha=0.2",
    "group-length:0.999,of=thinking",
    "pass-rate-length:cost=0.001",
    "pass-rate-length:7",
]


def attempts_of(record, right, tokens):
    """Attempts at a problem of the surface `terse`, with these answers and lengths."""
    wrong = (int(record["answer"]) + 1) % 23
    texts = [f"answer {record['answer'] if ok else wrong} ." for ok in right]
    return [Attempt.of_record(text, record, n) for text, n in zip(texts, tokens, strict=True)]


@pytest.mark.parametrize("name", PRICED)
def test_a_wrong_answer_never_scores_above_a_right_one(name):
    """Whatever the lengths in a group are. Of two right answers the longer one never scores higher."""
    reward, rng = parse_reward(name), random.Random(name)
    for index in range(200):
        record = record_in("terse", index=index)
        right = [rng.random() < rng.random() for _ in range(8)]
        tokens = [rng.choice((0, 1, rng.randrange(60), rng.randrange(5000))) for _ in right]
        scores = scores_of(reward, attempts_of(record, right, tokens))
        of_right = [score for score, ok in zip(scores, right, strict=True) if ok]
        of_wrong = [score for score, ok in zip(scores, right, strict=True) if not ok]
        assert max(of_wrong, default=-9) <= min(of_right, default=9)
        lengths = [n for n, ok in zip(tokens, right, strict=True) if ok]
        by_length = [score for _, score in sorted(zip(lengths, of_right, strict=True))]
        assert by_length == sorted(by_length, reverse=True)


def test_rewards_of_length_by_hand():
    record = record_in("terse")
    both = [True, False]

    def scores(name, right, tokens):
        return scores_of(parse_reward(name), attempts_of(record, right, tokens))

    assert scores("outcome+length:0.01", both, [30, 30]) == pytest.approx([0.7, 0])
    assert scores("cosine:limit=100", both, [0, 0]) == pytest.approx([1, -0.5])
    assert scores("cosine:limit=100", both, [50, 50]) == pytest.approx([0.75, -0.25])
    assert scores("cosine:limit=100", both, [400, 100]) == pytest.approx([0.5, 0])
    assert scores("overlong:limit=100,buffer=20", both, [80, 90]) == pytest.approx([1, -1.5])
    assert scores("overlong:limit=100,buffer=20", both, [300, 80]) == pytest.approx([0, -1])
    sigmoid = 1 / (1 + math.exp(-1))
    assert scores("group-length:0.5", [True, True, False], [10, 30, 999]) == pytest.approx(
        [1 - 0.5 * (1 - sigmoid), 1 - 0.5 * sigmoid, 0]
    )
    assert scores("group-length:0.5", [True, False], [10, 5]) == pytest.approx([0.75, 0]), "nothing to compare with"
    assert scores("pass-rate-length:0.01", [True, True], [10, 20]) == pytest.approx([0.9, 0.8])
    assert scores("pass-rate-length:0.01", [True, False], [10, 20]) == pytest.approx([0.95, 0])
    assert scores("group-length:0.5", [False, False], [10, 20]) == [0, 0]


def test_the_price_of_the_thinking_part_alone():
    """Text after </think> is free. Without the mark, all tokens are thinking; without a tokenizer, the share of the
    characters counts."""
    record = {"surface": "gsm8k", "prompt": "How many are 3 and 4?", "answer": "7"}
    priced = parse_reward("outcome+length:0.01,of=thinking")
    text = "<think>3 + 4 = 7</think>3 + 4 = 7\n#### 7"
    assert priced.score(Attempt.of_record(text, record, 20, count=lambda part: len(part) // 2)) == pytest.approx(0.92)
    assert priced.score(Attempt.of_record(text, record, 20)) == pytest.approx(1 - 0.01 * 20 * 16 / len(text))
    assert priced.score(Attempt.of_record("3 + 4 = 7\n#### 7", record, 20)) == pytest.approx(0.8)


def test_settings_of_rewards_of_length():
    assert parse_reward("cosine:512") == parse_reward("cosine:limit=512,longest=0.5,of=all")
    for bad in (
        "cosine",
        "cosine:limit=0",
        "cosine:limit=512,longest=0",
        "cosine:limit=512,wrong=1",
        "cosine:limit=512,limit=3",
        "cosine:limit=512,of=answer",
        "cosine:limit=512,buffer=3",
        "overlong:limit=512",
        "overlong:limit=3,buffer=4",
        "group-length:alpha=1",
        "pass-rate-length:nan",
    ):
        with pytest.raises(ValueError, match=r"reward|of must be"):
            parse_reward(bad)


def test_a_reward_of_the_user_receives_completion_record_and_tokens():
    record = record_in("terse")
    assert score(f"{__name__}:seen_arguments", "answer 7 .", record, 5) == 5.0
    assert [("answer 7 .", record, 5)] == SEEN


SEEN = []


def seen_arguments(completion, record, tokens):
    SEEN.append((completion, record, tokens))
    return float(tokens)


def test_a_reward_without_its_members_is_refused_and_a_whole_one_is_found():
    class Half(Outcome):
        NAME = "half"

        def score(self, attempt):
            value = super().score(attempt)
            return None if value is None else value / 2

    class Partial(Reward):
        NAME = "partial"

        @classmethod
        def parse(cls, parameter):
            return cls()

    with pytest.raises(TypeError, match="the reward 'partial' lacks score"):
        REWARDS.register(Partial)
    assert REWARDS.register(Half) is Half
    try:
        record = record_in("terse")
        assert score("half", record["completion"], record) == 0.5
    finally:
        REWARDS.unregister("half")
    with pytest.raises(ValueError, match="use outcome, faithful"):
        parse_reward("half")


@pytest.mark.parametrize("count", [20_000, pytest.param(200_000, marks=pytest.mark.slow)])
def test_many_completions_raise_nothing(count):
    """Gold texts that are cut, shuffled, doubled or mixed with noise, and noise alone."""
    rng = random.Random(0)
    records = [
        record_in(surface, fmt, n_ops, index)
        for surface in SURFACES
        for fmt in ("explicit", "composed:2", "implicit:2", "answer-only")
        for n_ops in (1, 3, 5)
        for index in range(3)
    ]
    noise = [
        "=",
        "+",
        "-",
        "*",
        "(",
        ")",
        ".",
        "answer",
        "Answer:",
        "Define",
        "as",
        "so",
        "QB",
        "0",
        "7",
        "٣",
        "\0",
        "\n",
    ]
    noise += ["999999999999999999999", "2(", ")(", "#### 3", "<<1+1=2>>", "ﬀ", "é", "🙂", "\ud800", "so AE ="]

    def mangle(text):
        words = text.split(" ")
        kind = rng.randrange(6)
        if kind == 0:
            return text[: rng.randrange(len(text) + 1)]
        if kind == 1:
            rng.shuffle(words)
        elif kind == 2:
            for _ in range(rng.randint(1, 4)):
                words.insert(rng.randrange(len(words) + 1), rng.choice(noise))
        elif kind == 3:
            words[rng.randrange(len(words))] = rng.choice(noise)
        elif kind == 4:
            words = rng.choices(noise, k=rng.randrange(12))
        else:
            words += words[rng.randrange(len(words)) :]
        return " ".join(words)

    values = set()
    for i in range(count):
        record = records[i % len(records)]
        verdict = verdict_or_none(mangle(record["completion"]), record)
        assert verdict is not None
        values.add((verdict.answer, verdict.faithful))
    assert ("correct", True) in values
    assert {"wrong", "missing", "conflicting", "malformed"} <= {answer for answer, _ in values}


def test_a_long_completion_is_judged_in_linear_time():
    """10 MB that look like a solution take seconds."""
    problem = Problem(23, {"kites": 3, "drums": BinOp("+", "kites", 4)}, "drums")
    record = make_record(problem, "explicit", surface="english")
    for text in ("Define kites as QB; so QB = 3. " * 100_000, "(" * 1_000_000, "Answer: 7. Answer: 8. " * 100_000):
        assert score("outcome", text, record) == 0.0


class Odd(Reward):
    """A reward that gives whatever it is told to."""

    NAME = "odd"

    def __init__(self, value):
        self.value = value

    @classmethod
    def parse(cls, parameter):
        return cls(parameter)

    def score(self, attempt):
        return self.value


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "1", [1.0]])
def test_a_reward_that_is_no_finite_number_is_refused(value):
    record = record_in("terse")
    attempt = Attempt.of_record(record["completion"], record)
    with pytest.raises(ValueError, match="the reward 'odd' gave"):
        score_of(Odd(value), attempt)
    assert score_of(Odd(None), attempt) is None
    assert score_of(Odd(0.5), attempt) == 0.5


def test_a_misspelt_reward_is_answered_with_those_that_exist():
    for text in ("outcom", "outcom:1", "outcom:"):
        with pytest.raises(ValueError, match=r"outcome, faithful, outcome\+length:0.001"):
            parse_reward(text)
