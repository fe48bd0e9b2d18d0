"""Model cards of trained models, and uploads to the hub. The hub is imitated: no network."""

import json
import shutil
from types import SimpleNamespace

import huggingface_hub
import pytest
import yaml
from huggingface_hub import constants
from huggingface_hub.errors import OfflineModeIsEnabled

from zipthought.cli import main
from zipthought.models.card import model_card, origin_of

TOKEN = "hf_thetokenthatnobodymaysee"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A file of 12 records in `terse`, of one and two operations."""
    made = tmp_path_factory.mktemp("data")
    settings = ["--n-ops", "1", "2", "--count", "6", "--format", "composed:2", "--surface", "terse"]
    assert main(["generate", *settings, "--output-dir", str(made)]) == 0
    return made / "composed-2.jsonl"


def sft(base, data, output, *more):
    settings = ["--steps", "2", "--batch-size", "4", "--device", "cpu"]
    return main(
        ["train", "sft", "--model", str(base), "--data", str(data), "--output-dir", str(output), *settings, *more]
    )


def rlvr(base, output, *more):
    settings = ["--n-ops", "1", "--steps", "1", "--prompts-per-step", "2", "--group-size", "2", "--device", "cpu"]
    return main(["train", "rlvr", "--model", str(base), "--output-dir", str(output), *settings, *more])


@pytest.fixture(scope="module")
def trained(tiny_base, data, tmp_path_factory):
    """A directory with the models `sft` and, from it, `rl`."""
    made = tmp_path_factory.mktemp("trained")
    assert sft(tiny_base, data, made / "sft") == 0
    assert rlvr(made / "sft", made / "rl") in (0, 1)
    return made


def parts_of(directory):
    """The front matter of a model's card, and its text."""
    card = (directory / "README.md").read_text()
    _, front, text = card.split("---\n", 2)
    return yaml.safe_load(front), text


def test_the_card_of_sft_says_what_it_was_trained_on_and_how(trained, tmp_path):
    front, text = parts_of(trained / "sft")
    run = json.loads((trained / "sft" / "run.json").read_text())
    assert front == {
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["zipthought", "chain-of-thought", "sft"],
    }
    for row in (
        "| file | composed-2.jsonl |",
        f"| sha256 of its records | {run['inputs']['data']} |",
        "| records | 12 |",
        "| formats | composed:2 |",
        "| surfaces | terse |",
        "| n_ops | 1, 2 |",
        "| updates | 2 |",
        f"| tokens | {run['tokens']} |",
        f"| loss, mean of the last tenth | {run['final_loss']:.4g} |",
    ):
        assert row in text.splitlines()
    assert f"zipthought) {run['zipthought']} (`train sft`, engine `native`)" in text
    assert '"learning_rate": 0.001' in text
    assert "zipthought evaluate --model MODEL --n-ops 1 2 --modulus 23 --count 200" in text
    assert "`trained_structures.json` holds the structures" in text
    assert "seconds" not in text
    assert "/" not in text.replace("https://github.com/zipthought/zipthought", "")  # No path of this machine.


def test_the_card_of_rlvr_has_its_rewards_and_the_problems_of_the_sampler(trained):
    front, text = parts_of(trained / "rl")
    run = json.loads((trained / "rl" / "run.json").read_text())
    assert front["tags"] == ["zipthought", "chain-of-thought", "grpo"]
    assert "Trained on verifiable rewards by GRPO from sft, with" in text
    assert "| problems | of the sampler, by the settings below |" in text
    assert "| n_ops | 1 |" in text
    assert "zipthought evaluate --model MODEL --n-ops 1 --modulus 23 --number-range 5 --count 200" in text
    assert f"| reward, mean of the last tenth | {run['last_tenth']['reward']:.4g} |" in text


def test_the_command_of_a_card_runs(trained, monkeypatch, capsys):
    for name, problems in (("sft", 4), ("rl", 2)):
        _, text = parts_of(trained / name)
        command = text.partition("```sh\nzipthought ")[2].partition("\n")[0].replace("MODEL", str(trained / name))
        assert main([*command.replace("200", "2").split(), "--device", "cpu", "--json"]) == 0
        assert json.loads(capsys.readouterr().out.splitlines()[-1])["n"] == problems


def test_a_card_is_the_same_after_a_resume(trained, tiny_base, data, tmp_path):
    card = (trained / "sft" / "README.md").read_bytes()
    assert sft(tiny_base, data, tmp_path / "sft") == 0
    assert (tmp_path / "sft" / "README.md").read_bytes() == card
    assert model_card({**run_json(), "model": "elsewhere"}) == model_card(run_json())
    run = json.loads((trained / "sft" / "run.json").read_text())
    assert model_card({**run, "seconds": 1e6}).encode() == card
    assert sft(tiny_base, data, tmp_path / "sft", "--resume") == 0
    assert (tmp_path / "sft" / "README.md").read_bytes() == card


def run_json(**changes):
    """A run.json of SFT."""
    optimizer = {"optimizer": "adamw", "learning_rate": 1e-3}
    return {
        "model": "out", "base": "org/tiny@v1", "base_commit": "a" * 40, "base_model": "org/tiny", "license": "mit",
        "data": "/home/someone/d.jsonl", "inputs": {"data": "0" * 64}, "examples": 1, "held_out": 0, "too_long": 0,
        "contents": {"records": 1, "formats": ["explicit"], "surfaces": ["english"], "n_ops": [3], "moduli": [23]},
        "steps": 1, "tokens": 2000, "final_loss": 0.5, "config": {"engine": "trl", "optimizer": optimizer},
        "zipthought": "1",
    } | changes  # fmt: skip


def test_the_card_of_a_hub_model_names_it_its_commit_and_its_license():
    card = model_card(run_json())
    front = yaml.safe_load(card.split("---\n")[1])
    assert (front["base_model"], front["license"]) == ("org/tiny", "mit")
    assert f"from org/tiny (commit {'a' * 40}), with" in card
    assert "engine `trl`" in card
    unknown = model_card(run_json(base_commit=None))
    assert r"from org/tiny\@v1, with" in unknown
    assert "from neutral, with" in model_card(run_json(base="neutral", base_commit=None, base_model=None))
    further = model_card(run_json(base="/home/someone/sft", base_commit=None))
    assert "from sft, a model from org/tiny, with" in further
    assert "/home" not in further
    assert "| tokens | 2,000 |" in card


def test_a_card_of_real_data_is_evaluated_on_a_file():
    contents = run_json()["contents"]
    assert "zipthought evaluate --model MODEL --n-ops 3 --modulus 23 --count 200\n" in model_card(run_json())
    for real in ({"surfaces": []}, {"surfaces": ["gsm8k"]}, {"moduli": []}, {"moduli": [23, 101]}, {"n_ops": []}):
        card = model_card(run_json(contents={**contents, **real}))
        assert "zipthought evaluate --model MODEL --data FILE\n" in card


def test_names_are_text_in_a_card():
    name = "a|b`c<d>\n---\nlicense: evil"
    card = model_card(
        run_json(base=f"/x/{name}", base_commit=None, base_model=f"org/{name}", data=f"/x/{name}", license=None)
    )
    front = yaml.safe_load(card.split("\n---\n")[0].removeprefix("---\n"))
    assert front["base_model"] == f"org/{name}"
    assert "license" not in front
    rows = [line for line in card.splitlines() if line.startswith("| file")]
    assert rows == [r"| file | a\|b\`c\<d\>\\n---\\nlicense: evil |"]
    assert r"# a\|b\`c\<d\>\\n---\\nlicense: evil, after SFT" in card


def test_the_origin_of_a_base_is_passed_on(trained, tiny_base, tmp_path, monkeypatch):
    nothing = {"base_commit": None, "base_model": None, "license": None}
    assert origin_of(str(tiny_base)) == origin_of(str(trained / "sft")) == nothing
    assert origin_of("neutral") == {**nothing, "license": "apache-2.0"}
    model = shutil.copytree(trained / "sft", tmp_path / "model")
    (model / "README.md").write_text(model_card(run_json()))
    (model / "run.json").write_text(json.dumps(run_json()))
    assert origin_of(str(model)) == {**nothing, "base_model": "org/tiny", "license": "mit"}
    for run, readme in (("[]", "license: mit\n"), ('{"base_model": 3}', "---\nlicense: [mit]\n---\n"), ("x", "---")):
        (model / "run.json").write_text(run)
        (model / "README.md").write_text(readme)
        assert origin_of(str(model)) == nothing
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    snapshot = tmp_path / "hub" / "models--org--tiny" / "snapshots" / ("b" * 40)
    shutil.copytree(tiny_base, snapshot)
    (snapshot / "README.md").write_text("---\nlicense: llama3.2\n---\n")
    known = {"base_commit": "b" * 40, "base_model": "org/tiny", "license": "llama3.2"}
    assert origin_of(f"org/tiny@{'b' * 40}") == known
    assert origin_of("org/other") == {**nothing, "base_model": "org/other"}


@pytest.fixture
def hub(monkeypatch):
    """What is uploaded; a token is there. `hub.error` is raised instead of an upload."""
    seen = SimpleNamespace(calls=[], error=None)

    class Api:
        def create_repo(self, repo_id, **options):
            if seen.error:
                raise seen.error
            seen.calls.append(("create", repo_id, options))
            return huggingface_hub.RepoUrl(f"https://huggingface.co/{repo_id}")

        def upload_folder(self, **options):
            seen.calls.append(("upload", options["repo_id"], options))

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    return seen


def uploaded(options):
    """The names that `upload_folder` takes with these options."""
    folder = options["folder_path"]
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    chosen = {name: options[name] for name in ("allow_patterns", "ignore_patterns")}
    return sorted(huggingface_hub.utils.filter_repo_objects(names, **chosen))


def test_a_finished_model_is_uploaded_to_a_private_repository(trained, tiny_base, data, tmp_path, hub, capsys):
    assert sft(tiny_base, data, tmp_path / "sft", "--push-to-hub", "org/mine", "--json") == 0
    (_, repository, created), (_, into, options) = hub.calls
    assert repository == into == "org/mine"
    assert created == {"private": True, "repo_type": "model", "exist_ok": True}
    (tmp_path / "sft" / "checkpoint-3").mkdir()
    (tmp_path / "sft" / "checkpoint-3" / "optimizer.pt").write_text("x")
    (tmp_path / "sft" / "checkpoint.pt").write_text("x")
    names = uploaded(options)
    assert {"README.md", "config.json", "model.safetensors", "run.json", "trained_structures.json"} <= set(names)
    assert not [name for name in names if "checkpoint" in name]
    captured = capsys.readouterr()
    assert json.loads(captured.out)["steps"] == 2
    assert "pushed to https://huggingface.co/org/mine" in captured.err
    assert TOKEN not in captured.out + captured.err
    for path in (tmp_path / "sft").rglob("*"):
        assert path.is_dir() or TOKEN.encode() not in path.read_bytes()


def test_rlvr_is_uploaded_too(trained, tmp_path, hub):
    assert rlvr(trained / "sft", tmp_path / "rl", "--push-to-hub", "org/rl") in (0, 1)
    assert [call[:2] for call in hub.calls] == [("create", "org/rl"), ("upload", "org/rl")]


@pytest.mark.parametrize("error", [OfflineModeIsEnabled("no network"), RuntimeError("403 Forbidden\n\nno right")])
def test_an_upload_that_fails_leaves_the_model_and_goes_on_later(tiny_base, data, tmp_path, hub, capsys, error):
    hub.error = error
    assert sft(tiny_base, data, tmp_path / "sft", "--push-to-hub", "org/mine") == 2
    reason = " ".join(str(error).split())
    (line,) = capsys.readouterr().err.strip().splitlines()
    model, again = tmp_path / "sft", "run the command again with --resume to push it"
    assert line.endswith(f": the model is finished in {model}, but cannot push to org/mine: {reason}; {again}")
    assert (tmp_path / "sft" / "model.safetensors").exists()
    hub.error = None
    assert sft(tiny_base, data, tmp_path / "sft", "--push-to-hub", "org/mine", "--resume") == 0
    assert [call[0] for call in hub.calls] == ["create", "upload"]


@pytest.mark.parametrize(
    ("repository", "token", "offline", "says"),
    [
        ("org/mine", "", False, "no token of the hub, so nothing can be pushed to org/mine; run 'hf auth login'"),
        ("org/mine", TOKEN, True, "HF_HUB_OFFLINE is set, so nothing can be pushed to org/mine"),
        ("a/b/c", TOKEN, False, "'a/b/c' is no repository of the hub"),
    ],
    ids=["no token", "offline", "no name"],
)
def test_what_cannot_be_uploaded_is_refused_before_the_training(
    tiny_base, data, tmp_path, hub, monkeypatch, capsys, repository, token, offline, says
):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", offline)
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: token or None)
    assert sft(tiny_base, data, tmp_path / "sft", "--push-to-hub", repository) == 2
    assert rlvr(tiny_base, tmp_path / "rl", "--push-to-hub", repository) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 2
    assert all(says in line for line in lines)
    assert list(tmp_path.iterdir()) == []
    assert hub.calls == []


def test_an_export_is_uploaded_as_a_dataset_without_other_files(data, tmp_path, hub, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("not of the export")
    command = ["export", str(data), "--to", "hf", "--output-dir", str(tmp_path / "out"), "--push-to-hub", "org/data"]
    assert main([*command, "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    (_, _, created), (_, _, options) = hub.calls
    assert created["repo_type"] == options["repo_type"] == "dataset"
    names = uploaded(options)
    assert "mine.txt" not in names
    assert [str(tmp_path / "out" / name) for name in names] == sorted(made["files"])
    hub.error = OfflineModeIsEnabled("no network")
    assert main(command) == 2
    assert f"the files are written to {tmp_path / 'out'}, but cannot push to org/data: no network" in (
        capsys.readouterr().err
    )
