"""F3: the measure by hand, the verdict on planted data, and a whole study on an untrained model."""

import json

import numpy as np
import pytest

import zipthought as zt
from zipthought.cli import main
from zipthought.report.data import ReportData
from zipthought.report.page import build_report
from zipthought.study.cells import BRANCHES, SFT_STATE, make_cell
from zipthought.study.excess import excess_counts, excess_share, short_steps
from zipthought.study.experiments.decomposition.f3 import f3
from zipthought.study.experiments.decomposition.measurements import DecompositionMeasurements
from zipthought.study.experiments.decomposition.report import ProfilePoint, section
from zipthought.study.spec import load_spec, make_spec
from zipthought.study.statistics import bootstrap_ratio


@pytest.mark.parametrize(
    ("stated", "k", "n_ops", "counts"),
    [
        ([2, 2], 2, 4, (0, 2)),  # As trained.
        ([2, 1], 2, 3, (0, 1)),  # As trained: the last group is short.
        ([1, 1, 1], 2, 3, (2, 2)),  # Explicit, whatever the format would leave over.
        ([1, 1, 1, 1], 2, 4, (4, 4)),
        ([1, 1, 2], 2, 4, (2, 3)),
        ([3, 1], 3, 4, (0, 1)),
        ([3, 2], 3, 5, (0, 2)),  # A short last group of two is no single operation.
        ([], 2, 3, (0, 0)),
        ([2], 2, 3, (0, 0)),  # Its last step states nothing.
    ],
)
def test_the_excess_of_a_trace_by_hand(stated, k, n_ops, counts):
    assert excess_counts(stated, short_steps(zt.sample(n_ops=n_ops), k)) == counts


@pytest.mark.parametrize("k", [2, 3, 4])
@pytest.mark.parametrize("task", ["chain", "tree", "tree:width=4"])
def test_what_the_format_leaves_is_counted_on_its_own_trace(task, k):
    """For a trace as trained, the steps that the verifier counts are exactly those of the format: the excess is 0."""
    as_in_chains = []
    for n_ops in range(3, 9):
        for index in range(8):
            problem = zt.sample(n_ops=n_ops, task=task, index=index)
            short = short_steps(problem, k)
            verdict = zt.verify(zt.render(zt.compress(problem, f"composed:{k}"), "terse"), problem)
            assert verdict.faithful
            stated = [step.granularity for step in verdict.steps if step.granularity]
            assert stated.count(1) == short
            assert excess_counts(stated, short)[0] == 0
            assert excess_counts([1] * n_ops, short) == (n_ops - short, n_ops - short)
            as_in_chains.append(short == (n_ops % k == 1))
    assert all(as_in_chains) == (task == "chain")


def test_a_single_operation_with_a_wrong_result_is_no_decomposition():
    short = short_steps(zt.sample(n_ops=3), 2)
    assert excess_counts([1, 1, 1], short, [1, 1, 1]) == (2, 2)
    assert excess_counts([1, 1, 1], short, [1]) == (0, 2)
    assert excess_counts([1, 1, 1], short, []) == (0, 2)


def test_the_excess_of_several_completions():
    short = short_steps(zt.sample(n_ops=3), 2)
    counts = [excess_counts(stated, short) for stated in ([2, 1], [1, 1, 1])]
    assert excess_share(counts) == pytest.approx(2 / 3)
    assert excess_share([excess_counts([], short)]) is None


def test_the_bootstrap_of_a_ratio_covers_it():
    rng = np.random.default_rng(0)
    counts = np.stack([rng.binomial(4, 0.3, (3, 400)), np.full((3, 400), 4)], axis=-1)
    low, high = np.quantile(bootstrap_ratio(counts, 500), [0.025, 0.975])
    assert low < 0.3 < high
    assert high - low < 0.06
    assert bootstrap_ratio(np.zeros((2, 5, 2)), 10).tolist() == [0.0] * 10


def planted(shares, seeds=3, problems=200, noise=0):
    """Each state with its share of single steps; `noise` seeds the draws."""
    rng = np.random.default_rng(noise)
    excess = {}
    for state, share in shares.items():
        wobble = np.clip(share + rng.normal(0, 0.02, (seeds, 1)), 0, 1)
        excess[state] = np.stack(
            [rng.binomial(4, np.broadcast_to(wobble, (seeds, problems))), np.full((seeds, problems), 4)], axis=-1
        )
    return DecompositionMeasurements(
        format="composed:2",
        sft_steps=30,
        excess=excess,
        correct={state: rng.random((seeds, problems)) < 0.5 for state in shares},
        trained=np.arange(problems) < problems // 2,
        shown={state: {"pass@1": 0.5} for state in shares},
    )


def shares(before, rlvr, updates, tokens):
    return dict(zip((SFT_STATE, *BRANCHES), (before, rlvr, updates, tokens), strict=True))


@pytest.mark.parametrize(
    ("given", "seeds", "verdict"),
    [
        (shares(0.2, 0.9, 0.1, 0.1), 3, "supported"),
        (shares(0.2, 0.9, 0.1, 0.9), 3, "inconclusive"),  # More SFT does it as well.
        (shares(0.5, 0.1, 0.3, 0.3), 3, "contradicted"),
        (shares(0.2, 0.9, 0.1, 0.1), 2, "inconclusive"),  # Too few seeds.
    ],
)
def test_the_verdict_on_planted_data(given, seeds, verdict):
    finding = f3([planted(given, seeds)], draws=300)
    assert finding.verdict == verdict
    assert len(finding.rows) == 4
    assert "composed:2 after 30 updates" in finding.summary


def test_no_effect_is_rarely_called_one():
    verdicts = [f3([planted(shares(0.3, 0.3, 0.3, 0.3), noise=i)], draws=300).verdict for i in range(40)]
    assert verdicts.count("supported") == 0
    assert verdicts.count("contradicted") <= 1, "0 of 40 were measured"


def test_the_first_length_of_sft_bears_the_verdict():
    finding = f3([planted(shares(0.2, 0.9, 0.1, 0.1)), planted(shares(0.2, 0.2, 0.2, 0.2))], draws=300)
    assert finding.verdict == "supported"
    assert "With composed:2 and 30 updates: inconclusive" in finding.summary
    assert f3([]).verdict == "inconclusive"


def test_the_preset_and_what_makes_no_sense():
    spec = load_spec("decomposition")
    experiment = spec.experiments["decomposition"]
    cells = spec.cells()
    runs = len(spec.seeds) * len(experiment.sft_steps) * len(experiment.formats)
    assert len(cells) == runs * (1 + len(BRANCHES))
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
        ({"speed": 1}, "unknown setting 'speed'"),
        (3, "a table"),
    ):
        with pytest.raises(ValueError, match=says):
            make_spec({"name": "x", "decomposition": bad})


def test_a_cell_is_the_same_in_a_study_of_more():
    one = make_spec({"name": "x", "seeds": [0], "decomposition": {"sft_steps": [30]}}).cells()
    more = make_spec({"name": "x", "seeds": [0, 1], "decomposition": {"sft_steps": [30, 60]}}).cells()
    assert {cell.digest for cell in one} < {cell.digest for cell in more}
    assert len({cell.digest for cell in more}) == 16


def test_a_whole_study_on_an_untrained_model(tiny_base, tmp_path, capsys):
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
"""
    )
    out = tmp_path / "study"
    assert main(["study", "run", str(spec), "--output-dir", str(out), "--workers", "1", "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["cells"] == {"done": 4}
    (finding,) = summary["findings"]
    assert (finding["id"], finding["verdict"]) == ("F3", "inconclusive")
    assert [row["model"] for row in finding["rows"]] == ["after SFT", "RLVR", "SFT, same updates", "SFT, same tokens"]
    page = (out / "report.html").read_text()
    assert "fig-profile" in page
    assert "SFT, same tokens" in page
    assert main(["study", "status", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["cells"] == {"done": 4}


def test_the_figures_draw_the_mean_of_the_seeds():
    points = [
        ProfilePoint(
            branch="RLVR",
            run="composed:2 after 30 updates",
            seed=seed,
            lengths="trained",
            tokens=tokens,
            excess=share + seed / 10,
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
