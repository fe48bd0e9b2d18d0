"""F3, F7 and F5: the measure by hand, the verdicts on planted data, and a whole study on an untrained model."""

import contextlib
import json
import sqlite3
from dataclasses import replace

import pytest
from planted_states import EQUAL, planted

import zipthought as zt
from zipthought.cli import main
from zipthought.core.compress import compress
from zipthought.evaluation.metrics import Item, judge_completion
from zipthought.models.backends import Native
from zipthought.models.loading import load
from zipthought.report.data import ReportData
from zipthought.report.page import build_report
from zipthought.study.cells import (
    BRANCHES,
    PRICED_BRANCHES,
    SFT_STATE,
    DecompositionCell,
    DecompositionSettings,
    decomposition_run,
    make_cell,
)
from zipthought.study.cells.decomposition_run import _rlvr_config, _sft_config, run_part
from zipthought.study.execution import CellExecution
from zipthought.study.experiments.decomposition import NAMES
from zipthought.study.experiments.decomposition.f3 import f3
from zipthought.study.experiments.decomposition.f5 import f5
from zipthought.study.experiments.decomposition.f7 import f7
from zipthought.study.experiments.decomposition.report import ProfilePoint, section
from zipthought.study.problems import training_problems
from zipthought.study.single_op_coverage import attempted_coverage, format_coverage, single_op_coverage
from zipthought.study.spec import load_spec, make_spec
from zipthought.study.store import Store
from zipthought.study.workspace import Workspace
from zipthought.surfaces import get_surface
from zipthought.train.config import RLVRConfig
from zipthought.train.grpo import grpo
from zipthought.train.loop import LoopResult, fingerprint
from zipthought.train.prompts import SampledPrompts
from zipthought.train.rejection import correct_samples

PROMPT = (
    "sculptures = seahorses * 3 . seahorses = 3 . spiders = persimmons - 1 . bathtubs = 2 . "
    "persimmons = sculptures + 2 . ? spiders"
)
START, FIRST, SECOND, THIRD = (
    "seahorses = 3 . ",
    "sculptures = seahorses * 3 = 3 * 3 = 9 . ",
    "persimmons = sculptures + 2 = 9 + 2 = 11 . ",
    "spiders = persimmons - 1 = 11 - 1 = 10 . ",
)
FIRST_TWO = "persimmons = seahorses * 3 + 2 = 3 * 3 + 2 = 11 . "
LAST_TWO = "spiders = sculptures + 2 - 1 = 9 + 2 - 1 = 10 . "
ALL = "spiders = seahorses * 3 + 2 - 1 = 3 * 3 + 2 - 1 = 10 . "
ANSWER = "answer 10 ."


@pytest.mark.parametrize(
    ("text", "single", "attempted"),
    [
        (START + FIRST + SECOND + THIRD + ANSWER, 3, 3),  # Explicit.
        (START + FIRST_TWO + THIRD + ANSWER, 1, 1),  # As composed:2.
        (START + FIRST + LAST_TWO + ANSWER, 1, 1),  # Mixed.
        (START + ALL + ANSWER, 0, 0),
        (ANSWER, 0, 0),
        ("answer 9 .", 0, 0),
        ("", 0, 0),
        (START + FIRST + ANSWER, 1, 1),  # A right single step, then a guess: it shows one operation of three.
        (START + FIRST + FIRST + SECOND + ANSWER, 2, 2),  # A repeated step counts once.
        (START + "sculptures = seahorses * 3 . " + ALL + ANSWER, 0, 0),  # Restated relations count for nothing.
        (START + "sculptures = seahorses * 3 . " + FIRST + SECOND + THIRD + ANSWER, 3, 3),
        (START + FIRST + ALL + ANSWER, 1, 1),  # The composed step works out the other two.
        (START + FIRST_TWO + FIRST + THIRD + ANSWER, 1, 1),  # An operation that a composed step worked out is not new.
        # A wrong step shows its operation, but not validly; later steps are checked against its value.
        (
            START
            + "sculptures = seahorses * 3 = 3 * 3 = 8 . persimmons = sculptures + 2 = 8 + 2 = 10 . "
            + "spiders = persimmons - 1 = 10 - 1 = 9 . answer 9 .",
            2,
            3,
        ),
        (START + "sculptures = seahorses * 3 = 3 * 4 . " * 3 + ANSWER, 0, 1),  # The same wrong step three times.
        (START + "sculptures = 9 . persimmons = 11 . spiders = 10 . " + ANSWER, 3, 3),  # Results alone, one at a time.
    ],
)
def test_the_coverage_of_a_completion_by_hand(text, single, attempted):
    problem = get_surface("terse").parse_problem(PROMPT, 23)
    completion = judge_completion(Item.of(problem, "terse", 0), text, response_tokens=1, truncated=False)
    assert single_op_coverage(completion) == pytest.approx(single / 3)
    assert attempted_coverage(completion, problem) == pytest.approx(attempted / 3)


@pytest.mark.parametrize(
    ("fmt", "n_ops", "own"), [("composed:2", 3, 1 / 3), ("composed:2", 4, 0), ("implicit:3", 4, 1 / 4)]
)
def test_the_coverage_of_a_format_by_hand(fmt, n_ops, own):
    assert format_coverage(zt.sample(n_ops=n_ops), fmt) == own
    assert format_coverage(zt.sample(n_ops=n_ops), "answer-only") == 0
    assert format_coverage(zt.sample(n_ops=n_ops), "explicit") == 1


@pytest.mark.parametrize("k", [2, 3, 4])
@pytest.mark.parametrize("task", ["chain", "tree", "tree:width=4"])
def test_a_trace_as_trained_has_the_coverage_of_its_format(task, k):
    as_in_chains = []
    for n_ops in range(3, 9):
        for index in range(8):
            problem = zt.sample(n_ops=n_ops, task=task, index=index)
            item = Item.of(problem, "terse", index)
            for fmt in (f"composed:{k}", f"implicit:{k}", "explicit"):
                text = zt.render(compress(problem, fmt), "terse")
                completion = judge_completion(item, text, response_tokens=1, truncated=False)
                assert completion.faithful
                own = format_coverage(problem, fmt)
                assert single_op_coverage(completion) == attempted_coverage(completion, problem) == own
                as_in_chains.append(own == (1 if fmt == "explicit" else (n_ops % k == 1) / n_ops))
    assert all(as_in_chains) == (task == "chain")


def states(base, sft, rlvr, updates, tokens):
    """The mean of each state; rejection sampling is like SFT, RLVR from the base like the base, and the price changes
    nothing."""
    return dict(zip(NAMES, (base, sft, rlvr, updates, tokens, sft, base, rlvr, rlvr), strict=True))


DECOMPOSITION = states(0.3, 0.3, 0.8, 0.3, 0.3)
REVERSION = states(0.7, 0.25, 0.7, 0.2, 0.2)
NOTHING = EQUAL


@pytest.mark.parametrize(
    ("given", "seeds", "of_f3", "of_f7", "answer"),
    [
        (DECOMPOSITION, 5, "supported", "supported", "decomposition"),
        (REVERSION, 8, "supported", "inconclusive", "reversion"),
        (NOTHING, 5, "inconclusive", "inconclusive", "open"),
        (states(0.3, 0.2, 0.8, 0.2, 0.8), 5, "inconclusive", "supported", "decomposition"),  # More SFT does it as well.
        (states(0.8, 0.2, 0.5, 0.2, 0.2), 5, "supported", "contradicted", "reversion"),  # Part of the way back.
        (states(0.6, 0.5, 0.2, 0.4, 0.4), 5, "contradicted", "contradicted", "open"),
        (DECOMPOSITION, 2, "inconclusive", "inconclusive", "open"),  # Too few seeds.
    ],
)
def test_the_verdicts_on_planted_data(given, seeds, of_f3, of_f7, answer):
    data = [planted(given, seeds=seeds, problems=400)]
    first, seventh = f3(data, draws=300), f7(data, draws=300)
    assert (first.verdict, seventh.verdict) == (of_f3, of_f7)
    assert [row["model"] for row in first.rows] == list(NAMES.values())
    assert "composed:2 after 30 updates" in first.summary
    assert "against rejection sampling" in first.summary
    assert seventh.summary.startswith(f"Decomposition or reversion: {answer}. ")
    assert [row["compared with"] for row in seventh.rows] == ["after SFT", "base", "base", "base"]


def test_what_decides_and_what_is_only_reported():
    """Rejection sampling that decomposes as well does not change F3; RLVR that the base equals decides F7 alone."""
    as_well = planted(DECOMPOSITION | {"rejection": 0.9, "rlvr-base": 0.9})
    finding = f3([as_well], draws=300)
    assert finding.verdict == "supported"
    (row,) = [row for row in finding.rows if row["model"] == "rejection sampling, same tokens"]
    assert row["RLVR less this"].startswith("-0.")
    no_gain = planted(DECOMPOSITION, accuracy=dict.fromkeys(NAMES, 0.5))
    assert (f3([no_gain], draws=300).verdict, f7([no_gain], draws=300).verdict) == ("supported", "inconclusive")


AGAIN = DECOMPOSITION | {"rlvr-priced": 0.3}


@pytest.mark.parametrize(
    ("given", "accuracy", "seeds", "verdict"),
    [
        (AGAIN, dict.fromkeys(NAMES, 0.8), 5, "supported"),
        (AGAIN, dict.fromkeys(NAMES, 0.8), 2, "inconclusive"),  # Too few seeds.
        (AGAIN, dict.fromkeys(NAMES, 0.8) | {"rlvr-priced": 0.4}, 5, "contradicted"),  # Short and wrong.
        (DECOMPOSITION, dict.fromkeys(NAMES, 0.8), 5, "inconclusive"),  # Nothing changes.
        (DECOMPOSITION | {"rlvr-priced": 0.95}, dict.fromkeys(NAMES, 0.8), 5, "contradicted"),
        (AGAIN | {"rlvr": 0.3, "rlvr-priced": 0.1}, dict.fromkeys(NAMES, 0.8), 5, "inconclusive"),  # Nothing to undo.
    ],
)
def test_the_verdict_on_a_price_on_planted_data(given, accuracy, seeds, verdict):
    finding = f5([planted(given, accuracy=accuracy, seeds=seeds, problems=400)], draws=300)
    assert finding.verdict == verdict
    assert [row["model"] for row in finding.rows] == [NAMES["priced"], NAMES["rlvr-priced"]]
    assert ("decomposed nothing" in finding.summary) == (given["rlvr"] == 0.3 or seeds < 3)


def test_better_arithmetic_alone_is_no_decomposition():
    """The base writes the same single steps as RLVR, but calculates them wrongly."""
    base = planted(DECOMPOSITION, wrong=dict.fromkeys(NAMES, 0.0) | {"base": 0.75})
    assert base.mean("attempted", "base") == pytest.approx(base.mean("attempted", "rlvr"), abs=0.05)
    assert f7([base], draws=300).verdict != "supported"


def test_a_format_that_was_not_learnt_decides_nothing():
    data = planted(DECOMPOSITION, faithful=0.6)
    for finding in (f3([data], draws=100), f7([data], draws=100)):
        assert finding.verdict == "inconclusive"
        assert "The format was not learnt: 0.6" in finding.summary
        assert "below 0.8" in finding.summary
        assert "less than 0.8" in finding.rule
    assert f3([data], learnt=0.5, draws=100).verdict == "supported"
    assert f7([planted(REVERSION, faithful=0.6)], draws=100).summary.startswith("Decomposition or reversion: open")


@pytest.mark.parametrize(
    ("given", "wrong", "model"),
    [
        (states(0.95, 0.2, 0.98, 0.2, 0.2), 0.0, "base"),
        (states(0.6, 0.2, 0.9, 0.2, 0.2), {"base": 0.9}, "base"),  # Wrong single steps are a habit, too.
        (states(0.3, 0.93, 1.0, 0.9, 0.9), 0.0, "model after SFT"),
    ],
)
def test_nothing_is_left_to_decompose(given, wrong, model):
    wrong = dict.fromkeys(NAMES, 0.0) | wrong if wrong else wrong
    data = planted(given, wrong=wrong)
    for finding in (f3([data], draws=100), f7([data], draws=100)):
        assert finding.verdict == "inconclusive"
        assert f"Nothing is left to decompose: the {model} already shows 0.9" in finding.summary


def test_without_a_base_row_f7_is_inconclusive():
    data = planted({state: value for state, value in DECOMPOSITION.items() if state in (SFT_STATE, *BRANCHES[:3])})
    assert f3([data], draws=300).verdict == "supported"
    assert (f7([data]).verdict, f7([data]).rows) == ("inconclusive", [])
    assert f7([data]).summary.startswith("No base row")


def test_the_first_length_of_sft_bears_the_verdicts():
    data = [planted(DECOMPOSITION), planted(EQUAL, sft_steps=60)]
    for finding in (f3(data, draws=300), f7(data, draws=300)):
        assert finding.verdict == "supported"
        assert "With composed:2 and 60 updates: inconclusive" in finding.summary
    for finding in (f3([]), f7([])):
        assert finding.verdict == "inconclusive"


def test_the_preset_and_what_makes_no_sense():
    spec = load_spec("decomposition")
    experiment = spec.experiments["decomposition"]
    cells = spec.cells()
    runs = len(spec.seeds) * len(experiment.sft_steps) * len(experiment.formats)
    shared = {"base": 1, "rlvr-base": len(spec.seeds)}  # The base runs once, and RLVR from it once for each seed.
    assert len(cells) == runs + sum(shared.get(branch, runs) for branch in experiment.branches)
    assert experiment.finding_ids == ("F3", "F7", "F5")
    assert make_spec({"name": "x", "decomposition": {}}).experiments["decomposition"].finding_ids == ("F3", "F7")
    assert [make_cell(json.loads(json.dumps(c.plain()))) for c in cells] == cells
    positions = {cell.digest: position for position, cell in enumerate(cells)}
    for cell in cells:
        assert all(positions[needed.digest] < positions[cell.digest] for needed in cell.needs())
    for bad, says in (
        ({"formats": ["explicit"]}, "composed:k"),
        ({"formats": ["composed:1"]}, "k above 1"),
        ({"longer_n_ops": [3]}, "longer_n_ops"),
        ({"sft_steps": []}, "sft_steps"),
        ({"sft_steps": [0]}, "at least 1"),
        ({"branches": ["rlvr", "sft-updates"]}, "must include sft-tokens"),
        ({"branches": [*BRANCHES, "dpo"]}, "unknown branch 'dpo'"),
        ({"branches": [*BRANCHES, "priced"], "priced_reward": "outcome+length:0.1"}, "need each other"),
        ({"branches": [*BRANCHES, "priced", "rlvr-priced"]}, "need each other"),
        ({"priced_reward": "outcome+length:0.1"}, "need each other"),
        ({"branches": [*BRANCHES, *PRICED_BRANCHES], "priced_reward": "outcome+length"}, "cost"),
        ({"learnt": 1.5}, "learnt must be a share"),
        ({"sft_optimizer": "sgd"}, "sgd"),
        ({"speed": 1}, "unknown setting 'speed'"),
        (3, "a table"),
    ):
        with pytest.raises(ValueError, match=says):
            make_spec({"name": "x", "decomposition": bad})
    with pytest.raises(ValueError, match="engine trl cannot run the optimizer 'muon'"):
        make_spec({"name": "x", "engine": "trl", "decomposition": {"sft_optimizer": "muon"}})
    few = make_spec({"name": "x", "decomposition": {"branches": list(BRANCHES[:3])}})
    assert [cell.part for cell in few.cells()] == [SFT_STATE, *BRANCHES[:3]]


def test_a_cell_is_the_same_in_a_study_of_more():
    one = make_spec({"name": "x", "seeds": [0], "decomposition": {"sft_steps": [30]}}).cells()
    more = make_spec({"name": "x", "seeds": [0, 1], "decomposition": {"sft_steps": [30, 60]}}).cells()
    assert {cell.digest for cell in one} < {cell.digest for cell in more}
    assert len({cell.digest for cell in more}) == 4 * (1 + len(BRANCHES) - 2) + 2 + 1


@pytest.mark.long
def test_a_whole_study_on_an_untrained_model(tiny_base, tmp_path, capsys, in_process):
    spec = tmp_path / "study.toml"
    spec.write_text(
        f"""
name = "little"
model = "{tiny_base}"
seeds = [0]
[decomposition]
sft_steps = [2]
examples = 20
sft_batch_size = 4
n_ops = [2]
longer_n_ops = [3]
rl_steps = 2
prompts_per_step = 2
group_size = 2
measure_every = 1
count = 3
samples = 2
sampled = 2
branches = ["rlvr", "sft-updates", "sft-tokens", "base", "rejection", "rlvr-base", "priced", "rlvr-priced"]
priced_reward = "group-length:alpha=0.5"
"""
    )
    out = tmp_path / "study"
    assert main(["study", "run", str(spec), "--output-dir", str(out), "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["cells"] == {"done": 9}
    assert [(f["id"], f["verdict"]) for f in summary["findings"]] == [(n, "inconclusive") for n in ("F3", "F7", "F5")]
    first = summary["findings"][0]
    assert [row["model"] for row in summary["findings"][2]["rows"]] == list(NAMES.values())[-2:]
    assert [row["model"] for row in first["rows"]] == list(NAMES.values())
    assert "The format was not learnt: 0.00" in first["summary"]
    page = (out / "report.html").read_text()
    assert "fig-profile" in page
    assert "rejection sampling, same tokens" in page
    assert main(["study", "status", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["cells"] == {"done": 9}
    # While the states that F3 does not need are missing, F3 stands without them.
    with contextlib.closing(sqlite3.connect(out / "study.db", isolation_level=None)) as db:
        for cell in Store.open(out).read().spec.cells():
            if cell.part in (*BRANCHES[3:], *PRICED_BRANCHES):
                db.execute("DELETE FROM cells WHERE digest = ?", (cell.digest,))
    study = Store.open(out).read()
    (data,) = study.spec.experiments["decomposition"].collect(study)
    assert list(data.coverage) == [SFT_STATE, *BRANCHES[:3]]


def cell_of(model, part, **settings):
    """A small cell on a base that solves some problems."""
    small = {
        "sft_batch_size": 4,
        "examples": 8,
        "n_ops": (2,),
        "longer_n_ops": (),
        "rl_steps": 2,
        "prompts_per_step": 4,
        "group_size": 4,
        "measure_every": 1,
        "count": 3,
        "samples": 1,
        "sampled": 1,
    }
    world = {"model": model, "model_digest": "x", "engine": "native", "surface": "terse", "modulus": 23}
    world |= {"number_range": 5, "split": "test", "seed": 3, "format": "composed:2", "sft_steps": 1}
    sft = DecompositionCell(**world, part=SFT_STATE, settings=DecompositionSettings(**small | settings))
    return sft.sibling(part)


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """State -> (cell, result), on the bundled base."""
    root = tmp_path_factory.mktemp("states")
    done = {}
    for part in (SFT_STATE, *BRANCHES):
        cell = cell_of("bundled-mixed", part)
        results = {other.digest: result for other, result in done.values()}
        done[part] = (cell, run_part(cell, Workspace(root, results)))
    return done


def test_each_state_is_what_its_name_says(ran):
    results = {state: result for state, (_, result) in ran.items()}
    base, rlvr, rejection = results["base"], results["rlvr"], results["rejection"]
    assert (base.updates, base.tokens, len(base.points)) == (0, 0, 1)
    assert (results["rlvr-base"].updates, len(results["rlvr-base"].rollouts)) == (2, 2)
    assert [(p.step, p.tokens > 0) for p in results["rlvr-base"].points] == [(1, True), (2, True)]
    assert rejection.updates >= 1
    # A step of samples is half of RLVR's two. A batch of four sequences has at most 4 * 45 tokens.
    assert rejection.tokens == pytest.approx(rlvr.tokens, abs=200)
    assert [p.tokens for p in rejection.points] == sorted({p.tokens for p in rejection.points})
    assert rejection.points[-1].tokens == rejection.tokens
    assert results["sft-tokens"].tokens == pytest.approx(rlvr.tokens, abs=200)
    for state, (cell, result) in ran.items():
        assert cell.completion_names() == (state,)
        coverage = result.points[-1].by_n_ops[2].single_op_coverage
        assert coverage is not None
        assert 0 <= coverage <= 1


def test_the_branches_with_a_price_start_where_their_names_say(tmp_path):
    """`priced` from the weights after SFT, `rlvr-priced` from those that RLVR left, each with the reward that is
    named. Without a price RLVR keeps no weights, and the digests of its cells are those of versions without prices."""
    cell = cell_of("bundled-mixed", SFT_STATE, priced_reward="faithful")
    workspace = Workspace(tmp_path)
    for part in (SFT_STATE, "rlvr"):
        run_part(cell.sibling(part), workspace)
    after_sft, after_rlvr = (
        fingerprint(load(str(workspace.weights(cell.sibling(part).digest)))[0]) for part in (SFT_STATE, "rlvr")
    )
    assert after_sft != after_rlvr
    seen = {}

    def trainer(cell, workspace, watch, backend):
        def train(model, tokenizer, prompts, config, on_step):
            seen[cell.part] = (fingerprint(model), config.reward, config.seed)
            return LoopResult(0, 0, 0.0, [])

        return train

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decomposition_run, "_rlvr_trainer", trainer)
        for part in ("priced", "rlvr-priced", "rlvr"):
            run_part(cell.sibling(part), workspace)
    assert seen["rlvr"][:2] == (after_sft, "outcome")
    assert seen["priced"][:2] == (after_sft, "faithful")
    assert seen["rlvr-priced"][:2] == (after_rlvr, "faithful")
    assert seen["rlvr-priced"][2] != seen["rlvr"][2], "other problems than those of the first RLVR"
    assert [need.part for need in cell.sibling("rlvr-priced").needs()] == [SFT_STATE, "rlvr"]
    plain = cell_of("bundled-mixed", "rlvr")
    assert not plain.keeps_weights
    assert "priced_reward" not in plain.plain()["settings"]


def test_rlvr_from_the_base_starts_from_the_base(ran):
    """The first rollouts are those of the model that a run started from, on the same prompts."""
    after_sft, from_base = ran["rlvr"][1].rollouts[0], ran["rlvr-base"][1].rollouts[0]
    assert after_sft.single_op_share != from_base.single_op_share
    model, tokenizer = load("bundled-mixed", training=True)
    cell = ran["rlvr-base"][0]
    config = _rlvr_config(cell, CellExecution())
    samplers = [cell.sampler(n, cell.seed) for n in cell.settings.n_ops]
    seen = {problem.structure for _, problem in training_problems(samplers, cell.settings.examples)}
    rows = []
    grpo(model, tokenizer, SampledPrompts(config, tokenizer, seen), replace(config, steps=1), on_step=rows.append)
    assert rows[0]["reward"] == from_base.reward
    assert rows[0]["response_tokens"] == from_base.response_tokens


def test_the_base_and_rlvr_from_it_are_shared():
    one, other = cell_of("m", SFT_STATE), replace(cell_of("m", SFT_STATE), seed=4, sft_steps=9, format="composed:3")
    assert one.sibling("base") == other.sibling("base")
    assert one.sibling("rlvr-base") == replace(other, seed=3).sibling("rlvr-base")
    assert one.sibling("rlvr-base") != other.sibling("rlvr-base")
    assert one.sibling("base").label == "the base"


def test_rejection_keeps_distinct_correct_completions_of_new_structures():
    model, tokenizer = load("bundled-mixed")
    config = RLVRConfig(n_ops=(2,), prompts_per_step=8, group_size=8, surface="terse")
    excluded = {zt.sample(n_ops=2, index=0).structure}
    prompts = SampledPrompts(config, tokenizer, excluded)
    records, sampled = correct_samples(Native(model, tokenizer), prompts, config, 1000)
    asked = [prompt for step in range(10) for prompt in prompts(step)[0]]
    pairs = set()
    for record in records:
        *turns, answer = record["messages"]
        prompt = next(prompt for prompt in asked if prompt.turns == turns)
        assert prompt.problem.structure not in excluded
        assert zt.verify(answer["content"], prompt.problem, "terse").answer == "correct"
        pairs.add((prompt.record["prompt"], answer["content"]))
    assert len(pairs) == len(records) > 0
    assert 1000 <= sampled < 1000 + 64 * 80
    assert correct_samples(Native(model, tokenizer), prompts, config, 1000) == (records, sampled)


def test_without_a_correct_sample_rejection_is_the_model_after_sft(tiny_base, tmp_path):
    done = {}
    for part in (SFT_STATE, "rlvr", "rejection"):
        cell = cell_of(str(tiny_base), part)
        done[cell.digest] = run_part(cell, Workspace(tmp_path, done))
    result = done[cell.digest]
    assert result.updates == 0
    assert result.tokens > 0
    assert result.points[-1].by_n_ops == done[cell.sibling(SFT_STATE).digest].points[-1].by_n_ops


def test_the_optimizer_of_sft_is_a_setting(tiny_base, tmp_path):
    """It is that of the branches, too, whose rate is constant. Digests are unchanged at its default."""
    weights = {}
    for optimizer in ("adamw", "muon"):
        cell = cell_of(str(tiny_base), SFT_STATE, sft_optimizer=optimizer)
        run_part(cell, Workspace(tmp_path))
        weights[optimizer] = (Workspace(tmp_path).weights(cell.digest) / "model.safetensors").read_bytes()
        assert make_cell(json.loads(json.dumps(cell.plain()))) == cell
        assert ("sft_optimizer" in cell.plain()["settings"]) == (optimizer == "muon")
        for part, ratio in ((SFT_STATE, 0.1), ("sft-updates", 1.0), ("sft-tokens", 1.0), ("rejection", 1.0)):
            config = _sft_config(cell.sibling(part), 20, CellExecution()).optimizer
            assert (config.optimizer, config.factor(19, 20)) == (optimizer, pytest.approx(ratio))
    assert weights["adamw"] != weights["muon"]


def test_the_figures_draw_the_mean_of_the_seeds():
    points = [
        ProfilePoint(
            branch="RLVR",
            run="composed:2 after 30 updates",
            seed=seed,
            lengths="trained",
            tokens=tokens,
            single_op_coverage=share + seed / 10,
            accuracy=0.5,
            response_tokens=30.0,
        )
        for seed in (0, 1)
        for tokens, share in ((0, 0.2), (100, 0.6))
    ]
    page = build_report(ReportData(title="t", command="c", sections=[section(points)]))
    payload = json.loads(page.split('id="report-data">')[1].split("</script>")[0])
    figure = payload["figures"]["fig-profile"]
    data = {name: {round(row["value"], 3) for row in rows} for name, rows in figure["datasets"].items()}
    assert data[figure["layer"][1]["data"]["name"]] == {0.25, 0.65}
    assert data[figure["layer"][0]["data"]["name"]] == {0.2, 0.3, 0.6, 0.7}
