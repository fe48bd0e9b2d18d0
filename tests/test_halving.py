"""Generation where memory runs out: smaller batches, and the same completions."""

import pytest
import torch

from zipthought.models import generation
from zipthought.models.backends import Request, open_backend
from zipthought.models.backends.in_process import Transformers
from zipthought.models.halving import Halving
from zipthought.records.chat import prompt_ids, prompt_messages
from zipthought.surfaces import terse
from zipthought.tasks.distinct import distinct_problems
from zipthought.tasks.sampling import SamplerConfig


def test_a_batch_is_halved_until_it_fits_and_the_size_is_remembered():
    tried = []

    def attempt(part):
        tried.append(len(part))
        if len(part) > 3:
            raise torch.OutOfMemoryError
        return sum(part)

    halving = Halving()
    with pytest.warns(UserWarning, match=r"a batch of 10 ran out of memory; it is repeated in batches of 5"):
        assert list(halving.run(range(10), attempt)) == [
            ([0, 1], 1),
            ([2, 3], 5),
            ([4, 5], 9),
            ([6, 7], 13),
            ([8, 9], 17),
        ]
    assert tried == [10, 5, 2, 2, 2, 2, 2]
    assert list(halving.run([7, 8, 9], attempt)) == [([7, 8], 15), ([9], 9)]
    assert list(halving.run([], attempt)) == []


def test_one_row_that_does_not_fit_is_an_error():
    def attempt(part):
        raise torch.OutOfMemoryError

    with pytest.warns(match="ran out of memory"), pytest.raises(ValueError, match=r"one prompt do not fit"):
        list(Halving().run([1, 2], attempt))


@pytest.fixture(scope="module")
def prompts():
    backend = open_backend("native", "neutral", "cpu")
    problems = [p for n in (1, 2) for _, p in distinct_problems(SamplerConfig(n_ops=n), "validation", 4)]
    return [
        prompt_ids(backend.tokenizer, prompt_messages(terse.render_problem(p), p.modulus, "terse")) for p in problems
    ]


@pytest.mark.parametrize(
    "request_", [Request(max_new_tokens=20), Request(max_new_tokens=20, samples=3, temperature=1.0, logprobs=True)]
)
def test_the_native_decoder_gives_the_same_completions_in_smaller_batches(prompts, request_, monkeypatch):
    backend = open_backend("native", "neutral", "cpu")
    whole = backend.generate(prompts, request_)
    run, seen = generation._Decoder.run, []

    def limited(self):
        if len(self._done) > 5:
            raise torch.OutOfMemoryError
        seen.append(len(self._done))
        return run(self)

    monkeypatch.setattr(generation._Decoder, "run", limited)
    progress = []
    with pytest.warns(UserWarning, match="ran out of memory"):
        parts = backend.generate(prompts, request_, on_progress=lambda done, total: progress.append((done, total)))
    assert [[c.text for c in group] for group in parts] == [[c.text for c in group] for group in whole]
    assert max(seen) <= 5
    total = len(prompts) * request_.samples
    assert progress[-1] == (total, total)


def test_transformers_gives_the_same_completions_in_smaller_batches(prompts, monkeypatch):
    backend = open_backend("transformers", "neutral", "cpu")
    request_ = Request(max_new_tokens=20)
    whole = backend.generate(prompts, request_)
    batch = Transformers._batch

    def limited(self, of, *rest):
        if len(of) > 3:
            raise torch.OutOfMemoryError
        return batch(self, of, *rest)

    monkeypatch.setattr(Transformers, "_batch", limited)
    with pytest.warns(UserWarning, match="ran out of memory"):
        parts = backend.generate(prompts, request_)
    assert [group[0].text for group in parts] == [group[0].text for group in whole]
