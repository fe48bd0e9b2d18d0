"""The output directory of a run: whole or not at all, resumed, finished, and true to what the model was trained on."""

import itertools
import json
import os
import resource
import shutil
import sys
from contextlib import contextmanager

import pytest

from zipthought.cli import main
from zipthought.models.loading import load, save
from zipthought.models.names import resolve
from zipthought.models.tokenizer import build_tokenizer
from zipthought.train.config import RLVRConfig
from zipthought.train.held_out import RecordError
from zipthought.train.output import RunDirectory
from zipthought.train.prompts import RecordPrompts
from zipthought.train.record import structures_of, trained_structures, write_structures
from zipthought.train.sft import training_set

FILES = {"model.safetensors": b"w" * 5000, "config.json": b"{}\n", "run.json": b"{}\n"}


def run(capsys, *arguments):
    """(exit code, standard output, standard error) of a command in this process."""
    capsys.readouterr()
    code = main([str(a) for a in arguments])
    return code, *capsys.readouterr()


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """40 records of n_ops 1 and 2."""
    directory = tmp_path_factory.mktemp("data")
    words = ("--n-ops", 1, 2, "--count", 20, "--format", "explicit", "--surface", "terse", "--output-dir", directory)
    assert main(["generate", *map(str, words)]) == 0
    return directory / "explicit.jsonl"


@pytest.fixture
def sft(tiny_base, data):
    """The words of a short run, without its output directory."""
    return ["train", "sft", "--model", tiny_base, "--data", data, "--steps", 3, "--batch-size", 4, "--threads", 1]


RLVR = ["--steps", 1, "--prompts-per-step", 2, "--group-size", 2, "--max-new-tokens", 3, "--threads", 1]


def write_and_publish(target):
    output = RunDirectory.of(target)
    output.require_usable(resume=True)
    with output.working():
        output.work.mkdir(exist_ok=True)
        (output.work / "checkpoint.pt").write_bytes(b"checkpoint")
        (output.work / "metrics.jsonl").write_text("{}\n")
        output.model.mkdir()
        for name, content in FILES.items():
            (output.model / name).write_bytes(content)
        output.publish()


def dies_after(audited, function):
    """Run `function` in a child that ends like a killed one at its file operation number `audited`. Returns whether it
    died."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    seen = 0

    def count(event, arguments):
        nonlocal seen
        if event in ("open", "os.rename", "os.mkdir", "os.rmdir", "os.remove", "shutil.rmtree"):
            seen += 1
            if seen == audited:
                os._exit(9)

    sys.addaudithook(count)
    try:
        function()
        os._exit(0)
    finally:
        os._exit(1)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_run_that_dies_at_any_file_operation_leaves_a_whole_model_or_none(tmp_path):
    died = 0
    for audited in range(1, 200):
        target = tmp_path / f"run{audited}"
        if not dies_after(audited, lambda target=target: write_and_publish(target)):
            break
        died += 1
        if target.exists():
            assert {p.name: p.read_bytes() for p in target.iterdir()} == FILES | {"metrics.jsonl": b"{}\n"}
            assert RunDirectory.of(target).is_finished(resume=True)
        else:
            if target.with_name(f"{target.name}.partial").exists():
                with pytest.raises(ValueError, match="is not finished; continue it with --resume"):
                    resolve(str(target))
            write_and_publish(target)
            assert set(FILES) < {p.name for p in target.iterdir()}
            assert not target.with_name(f"{target.name}.partial").exists()
    assert died > 15
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


def test_a_finished_run_is_resumed_as_finished_and_other_settings_are_refused(sft, tiny_base, data, tmp_path, capsys):
    out = ("--output-dir", tmp_path / "out")
    code, printed, _ = run(capsys, *sft, *out, "--json")
    assert code == 0
    before = {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()}
    assert run(capsys, *sft, *out)[0] == 2
    assert run(capsys, *sft, *out, "--resume", "--json")[:2] == (0, printed)
    code, text, _ = run(capsys, *sft, *out, "--resume")
    assert (code, "already finished" in text) == (0, True)
    other = tmp_path / "other.jsonl"
    other.write_text("".join(data.read_text().splitlines(keepends=True)[:-1]))
    for change, says in (
        (("--learning-rate", "0.5"), "config.optimizer.learning_rate was 0.001 and is 0.5"),
        (("--data", other), "inputs.data was"),
        (("--model", "bundled"), "base was"),
    ):
        code, _, err = run(capsys, *sft, *out, "--resume", *change)
        assert (code, says in err, len(err.splitlines())) == (2, True, 1)
    assert {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()} == before
    (tmp_path / "out" / "run.json").write_text("{")
    code, _, err = run(capsys, *sft, *out, "--resume")
    assert (code, "run.json is missing or damaged" in err) == (2, True)


def test_an_unfinished_run_is_refused_by_what_reads_models(sft, tiny_base, data, tmp_path, capsys):
    (tmp_path / "sft.partial").mkdir()
    (tmp_path / "sft.partial" / "checkpoint.pt").write_bytes(b"x")
    rlvr = ("train", "rlvr", "--output-dir", tmp_path / "rl")
    for name in ("sft", "sft.partial"):
        for command in (("evaluate",), rlvr, (*sft[:2], *sft[4:], "--output-dir", tmp_path / "x")):
            code, _, err = run(capsys, *command, "--model", tmp_path / name)
            assert (code, "sft.partial is not finished" in err, len(err.splitlines())) == (2, True, 1)
    code, _, err = run(capsys, *sft, "--output-dir", tmp_path / "sft.partial")
    assert (code, "the ending of unfinished runs" in err) == (2, True)


def test_files_of_others_are_never_replaced(sft, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    code, _, err = run(capsys, *sft, "--output-dir", tmp_path / "out")
    assert (code, "is not empty" in err) == (2, True)
    shutil.copytree(sft[3], tmp_path / "a.partial")
    code, _, err = run(capsys, *sft, "--output-dir", tmp_path / "a")
    assert (code, "holds other files" in err) == (2, True)
    assert (tmp_path / "a.partial" / "config.json").exists()
    (tmp_path / "out" / "notes.txt").unlink()
    assert run(capsys, *sft, "--output-dir", tmp_path / "out")[0] == 0, "an empty directory is free"


def test_a_short_run_has_a_checkpoint_and_a_stopped_save_is_made_up(sft, tmp_path, capsys, monkeypatch):
    from zipthought.models import loading

    assert run(capsys, *sft, "--output-dir", tmp_path / "whole")[0] == 0

    def torn(model, tokenizer, directory):
        directory.mkdir()
        (directory / "config.json").touch()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(loading, "save", torn)
        assert run(capsys, *sft, "--output-dir", tmp_path / "cut")[0] == 130
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cut.partial", "whole"]
    assert sorted(p.name for p in (tmp_path / "cut.partial").iterdir()) == ["checkpoint.pt", "metrics.jsonl"]
    assert run(capsys, *sft, "--output-dir", tmp_path / "cut")[0] == 2
    (tmp_path / "cut.partial" / "finished").mkdir()
    (tmp_path / "cut.partial" / ".checkpoint.pt.1234").touch()
    assert run(capsys, *sft, "--output-dir", tmp_path / "cut", "--resume")[0] == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cut", "whole"]
    timed = ("metrics.jsonl", "run.json")
    whole, cut = (
        {p.name: p.read_bytes() for p in (tmp_path / name).iterdir() if p.name not in timed}
        for name in ("whole", "cut")
    )
    assert whole == cut
    for name in ("whole", "cut"):
        assert len((tmp_path / name / "metrics.jsonl").read_text().splitlines()) == 3


def test_a_refused_run_leaves_nothing(sft, tmp_path, capsys):
    code, _, err = run(capsys, *sft, "--output-dir", tmp_path / "out", "--max-length", "2")
    assert (code, "raise it" in err) == (2, True)
    assert not list(tmp_path.iterdir())


@contextmanager
def full_disk_above(size):
    """No file grows beyond `size` bytes while the block runs: a full disk, without filling one."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(("size", "every"), [(300, 0), (1_000, 0), (500_000, 0), (1_000, 1), (500_000, 1)])
def test_a_full_disk_is_one_line_and_the_run_goes_on_later(sft, tmp_path, capsys, size, every):
    """The limits stop the metrics, the weights or the checkpoint."""
    command = (*sft, "--checkpoint-every", every, "--output-dir", tmp_path / "out")
    with full_disk_above(size):
        code, _, err = run(capsys, *command)
    assert (code, len(err.splitlines()), "File too large" in err) == (2, 1, True)
    assert not (tmp_path / "out").exists()
    assert run(capsys, *command, "--resume")[0] == 0
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_a_full_disk_under_the_tokenizer_is_one_line(tiny_base, tmp_path):
    """tokenizers raises the bare `Exception`."""
    model, tokenizer = load(str(tiny_base), "cpu")
    model.save_pretrained = lambda directory: None
    with full_disk_above(1_000), pytest.raises(OSError, match="File too large"):
        save(model, tokenizer, tmp_path)


def test_rlvr_never_forgets_what_sft_saw(sft, data, tmp_path, capsys):
    """run.json lost or edited, the data deleted: the model holds its structures. These lost or edited: refused."""
    copy = tmp_path / "data.jsonl"
    shutil.copy(data, copy)
    seen = {json.loads(line)["structure"] for line in data.open()}
    assert run(capsys, *sft, "--data", copy, "--output-dir", tmp_path / "sft")[0] == 0
    copy.unlink()
    (tmp_path / "sft" / "run.json").unlink()
    assert trained_structures(str(tmp_path / "sft")) == seen
    rlvr = ("train", "rlvr", "--n-ops", 2, *RLVR)
    assert run(capsys, *rlvr, "--model", tmp_path / "sft", "--output-dir", tmp_path / "rl")[0] == 0
    assert trained_structures(str(tmp_path / "rl")) == seen
    file = tmp_path / "sft" / "trained_structures.json"
    whole = file.read_text()
    for damage, says in ((lambda: file.write_text("[]\n"), "is changed"), (file.unlink, "is missing")):
        damage()
        for command in (rlvr, sft):
            code, _, err = run(capsys, *command, "--model", tmp_path / "sft", "--output-dir", tmp_path / "x")
            assert (code, says in err, "to go on without" in err, len(err.splitlines())) == (2, True, True, 1)
        assert run(capsys, "evaluate", "--model", tmp_path / "sft", "--n-ops", 1, "--count", 1)[0] == 0
    file.write_text(whole)
    assert run(capsys, *rlvr, "--model", tmp_path / "sft", "--output-dir", tmp_path / "x")[0] == 0


def test_a_model_on_the_hub_holds_its_structures(tiny_base, tmp_path, monkeypatch):
    hub = tmp_path / "hub"
    shutil.copytree(tiny_base, hub)

    def cached_file(model, name):
        assert model == "org/name"
        if not (hub / name).exists():
            raise OSError("not there")
        return str(hub / name)

    monkeypatch.setattr("transformers.utils.cached_file", cached_file)
    assert trained_structures("org/name") == set()
    write_structures(hub, {"b", "a\n"})
    assert trained_structures("org/name") == {"a\n", "b"}
    (hub / "trained_structures.json").unlink()
    with pytest.raises(ValueError, match=r"org/name/trained_structures.json, .* is missing"):
        trained_structures("org/name")
    (hub / "config.json").unlink()
    assert trained_structures("org/name") == set(), "loading it says why it cannot be loaded"


def test_a_model_of_version_0_2_names_its_data(tiny_base, data, tmp_path):
    seen = {json.loads(line)["structure"] for line in data.open()}
    for name, record in (
        ("sft", {"base": str(tiny_base), "data": str(data)}),
        ("rl", {"base": str(tmp_path / "sft"), "data": None}),
    ):
        shutil.copytree(tiny_base, tmp_path / name)
        (tmp_path / name / "run.json").write_text(json.dumps(record))
    assert trained_structures(str(tiny_base)) == set()
    assert trained_structures(str(tmp_path / "rl")) == seen
    card = tmp_path / "sft" / "run.json"
    for change, says in (
        ({"base": str(tmp_path / "gone")}, "gone, which is missing"),
        ({"data": str(tmp_path / "gone.jsonl")}, "gone.jsonl, which is missing"),
    ):
        card.write_text(json.dumps({"base": str(tiny_base), "data": str(data)} | change))
        with pytest.raises(ValueError, match=says):
            trained_structures(str(tmp_path / "rl"))
    card.write_text("{")
    with pytest.raises(ValueError, match="missing or damaged; restore it, or delete"):
        trained_structures(str(tmp_path / "rl"))
    card.write_text(json.dumps({"base": str(tmp_path / "sft"), "data": str(data)}))
    assert trained_structures(str(tmp_path / "rl")) == seen, "a run that names itself ends the search"


def test_errors_of_records_name_the_file_and_the_line(tiny_base, data, tmp_path, capsys):
    records = [json.loads(line) for line in data.open()][:4]
    bad = tmp_path / "bad.jsonl"
    for change, says in (
        ({"messages": 5}, "needs messages"),
        ({"messages": [{"role": "user", "content": 5}]}, "'content' must be text, got int"),
        ({"messages": [5, None]}, "needs messages"),
        ({"split": ["train"]}, "'split' must be text, got list"),
        ({"structure": {}}, "'structure' must be text, got dict"),
        ({"messages": [*records[0]["messages"][:1], {"role": "user", "content": "klingon"}]}, ""),
    ):
        bad.write_text("".join(json.dumps(r) + "\n" for r in (*records[:2], records[2] | change, records[3])))
        for method in ("sft", "rlvr"):
            words = ("--model", tiny_base, "--data", bad, "--output-dir", tmp_path / "x", "--steps", 1)
            code, _, err = run(capsys, "train", method, *words)
            assert (code, len(err.splitlines())) == (2, 1)
            assert f"{bad}, line 3: " in err
            assert says in err
    assert [p.name for p in tmp_path.iterdir()] == ["bad.jsonl"]


ODD = [None, 5, -1, 1.5, True, "", "x", "\ud800", "\0", 10**30, float("nan"), [], [1], [[]], {}, {"a": 1}, "9" * 5000]


def test_odd_values_in_any_field_are_used_or_refused_by_number(data):
    """More than 500 records of which one field, or one of a message, has an odd value."""
    tokenizer = build_tokenizer()
    good = json.loads(data.read_text().splitlines()[0])
    records = [good | {field: value} for field in good for value in ODD]
    for turn in range(3):
        for field in ("role", "content"):
            for value in ODD:
                turns = [dict(t) for t in good["messages"]]
                turns[turn][field] = value
                records.append(good | {"messages": turns})
    records += [good | {"messages": list(turns)} for turns in itertools.product([*good["messages"], None], repeat=3)]
    records += [{k: v for k, v in good.items() if k != field} for field in good]
    refused = {"sft": [], "rlvr": []}
    for record in records:
        for name, errors in refused.items():
            try:
                if name == "sft":
                    training_set(tokenizer, [good, record], 2048)
                else:
                    prompts, _ = RecordPrompts(RLVRConfig(prompts_per_step=2), tokenizer, [good, record])(0)
                    for prompt in prompts:
                        prompt.verify(good["completion"])
                    structures_of([good, record])
            except RecordError as error:
                errors.append(error)
    assert len(records) > 400
    for errors in refused.values():
        assert len(errors) > 100
        assert {error.number for error in errors} == {2}
        assert not [error for error in errors if "\n" in str(error)]


def test_a_finished_pretraining_is_resumed_as_finished(tmp_path, capsys, monkeypatch):
    from zipthought.study import bases

    monkeypatch.setattr(bases, "MEASURED_COUNT", 3)
    command = ("pretrain", "--output-dir", tmp_path / "b", "--steps", 2, "--batch-size", 4, "--size", "0.2M", "--json")
    code, out, _ = run(capsys, *command)
    assert code == 0
    assert run(capsys, *command)[0] == 2
    assert run(capsys, *command, "--resume")[:2] == (0, out)
    code, _, err = run(capsys, *command, "--resume", "--seed", 5)
    assert (code, "recipe.seed was 0 and is 5" in err) == (2, True)
    card = json.loads(out)
    for device, says in (("cuda", 'device was "cuda" and is "cpu"'), (None, "")):  # Older cards have no device.
        values = {name: value for name, value in (card | {"device": device}).items() if value is not None}
        (tmp_path / "b" / "card.json").write_text(json.dumps(values))
        code, _, err = run(capsys, *command, "--resume")
        assert (code, says in err) == (2 if says else 0, True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["b"]


def test_files_of_others_in_the_working_directory_stay(tmp_path):
    (tmp_path / "o.partial").mkdir()
    (tmp_path / "o.partial/thesis.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"o\.partial holds other files"):
        RunDirectory.of(tmp_path / "o").require_usable(resume=True)
    assert (tmp_path / "o.partial/thesis.txt").read_text() == "mine"
