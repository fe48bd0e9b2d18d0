"""Problems dressed anew, and training on them."""

import json

import pytest

from zipthought.cli import main
from zipthought.core.compress import compress
from zipthought.models.tokenizer import build_tokenizer
from zipthought.records.schema import make_record
from zipthought.study.problems import even, training_problems
from zipthought.surfaces import get_surface, verify
from zipthought.tasks.dressing import part_of, redress
from zipthought.tasks.sampling import SamplerConfig, sample, sample_batch
from zipthought.train.batches import EpochBatches
from zipthought.train.sft import redressed, training_set


@pytest.mark.parametrize("task", ["chain", "tree:width=3"])
def test_a_problem_dressed_anew_keeps_its_structure_and_answer(task):
    problem = sample(n_ops=5, seed=3, task=task)
    dressings = [redress(problem, number) for number in range(20)]
    for other in dressings:
        assert (other.structure, other.answer) == (problem.structure, problem.answer)
        text = get_surface("english").render(compress(other, "composed:2"))
        assert verify(text, other).faithful
        unused = len(other.definitions) - len(other.order)
        assert 1 <= unused <= 5
    assert redress(problem, 7) == dressings[7]
    assert len({other.target for other in dressings}) > 15
    assert len({len(other.definitions) for other in dressings}) > 2


def test_a_dressing_does_not_depend_on_the_first_names():
    problem = sample(n_ops=3, seed=0)
    assert redress(redress(problem, 1), 2, 5) == redress(problem, 2, 5)


def test_parts_are_even_and_do_not_follow_the_split():
    batch = sample_batch(SamplerConfig(n_ops=6), "train", range(4000))
    parts = [part_of(structure, 8) for structure in batch.structure]
    counts = [parts.count(part) for part in range(8)]
    assert sum(counts) == 4000
    assert min(counts) > 400  # 500 expected, with a standard deviation of 21.


def test_training_problems_of_different_parts_share_no_structure():
    seen = []
    for part in range(3):
        problems = training_problems([SamplerConfig(n_ops=4, seed=part)], 200, part=(part, 3))
        seen.append({problem.structure for _, problem in problems})
    assert [len(structures) for structures in seen] == [200] * 3
    assert not seen[0] & seen[1] | seen[1] & seen[2] | seen[0] & seen[2]


def test_more_examples_than_structures_are_dressed_anew():
    samplers = [SamplerConfig(n_ops=n, seed=1) for n in (3, 4)]
    problems = [problem for _, problem in training_problems(samplers, 100, structures=24)]
    assert len(problems) == 100
    assert [sum(p.n_ops == n for p in problems) for n in (3, 4)] == [50, 50]
    assert len({p.structure for p in problems}) == 24
    prompts = {get_surface("terse").render_problem(p) for p in problems}
    assert len(prompts) == 100
    with pytest.raises(ValueError, match="training structures of n_ops=1 for 60 examples"):
        training_problems([SamplerConfig(n_ops=1)], 60)


def test_even_shares():
    assert even(10, 3) == [4, 3, 3]


def test_training_shows_a_problem_under_new_names_in_every_epoch_but_the_first():
    tokenizer = build_tokenizer()
    records = [make_record(sample(n_ops=3, index=i), "composed:2", surface="terse", index=i) for i in range(6)]
    data = training_set(tokenizer, records, 2048)
    batches = EpochBatches(data.examples, 6, 0, 0, in_epoch=redressed(tokenizer, data, 2048))
    shown = [{tokenizer.decode(row[row != 0]) for row in batches(step).ids} for step in range(3)]
    assert shown[0] == {tokenizer.decode(e.ids) for e in data.examples}
    assert not shown[0] & shown[1] | shown[1] & shown[2]
    again = EpochBatches(data.examples, 6, 0, 0, in_epoch=redressed(tokenizer, data, 2048))
    assert (again(2).ids == batches(2).ids).all()


def test_a_dressing_that_is_too_long_is_left_out():
    tokenizer = build_tokenizer()
    records = [make_record(sample(n_ops=3, index=i), "explicit", surface="terse", index=i) for i in range(8)]
    longest = max(len(e.ids) for e in training_set(tokenizer, records, 2048).examples)
    data = training_set(tokenizer, records, longest)
    for epoch in range(1, 8):
        assert max(len(e.ids) for e in redressed(tokenizer, data, longest)(epoch)) <= longest


def test_the_command_redresses_and_names_a_record_that_it_cannot_read(tmp_path, capsys):
    records = [make_record(sample(n_ops=2, index=i), "explicit", surface="terse", index=i) for i in range(8)]
    data = tmp_path / "data.jsonl"

    def train(name):
        data.write_text("".join(json.dumps(r) + "\n" for r in records))
        options = ["--epochs", "3", "--batch-size", "4", "--redress", "--threads", "1", "--json"]
        code = main(["train", "sft", "--data", str(data), "--output-dir", str(tmp_path / name), *options])
        return code, capsys.readouterr()

    code, output = train("out")
    assert code == 0
    assert json.loads(output.out)["steps"] == 6
    del records[2]["prompt"]
    code, output = train("other")
    assert code != 0
    assert "line 3" in output.err
