"""What users of the package meet first: its types, its files in the wheel, its versions and its links."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

import zipthought

ROOT = Path(__file__).parents[1]
SOURCES = Path(zipthought.__file__).parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

USE = """
import zipthought as zt

problem = zt.sample(n_ops=3, seed=0)
trace = zt.compress(zt.solve(problem), "composed:2")
reveal_type(problem)
reveal_type(trace)
reveal_type(zt.render(trace, surface="english"))
reveal_type(zt.verify("Answer: 1.", problem))
zt.verify(1, problem)
"""


@pytest.mark.long
def test_mypy_sees_our_types_from_outside(tmp_path):
    file = tmp_path / "use.py"
    file.write_text(USE)
    environment = {key: value for key, value in os.environ.items() if key != "MYPYPATH"}
    environment["PYTHONPATH"] = str(SOURCES.parent)
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), str(file)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    revealed = re.findall(r'Revealed type is "(.*)"', done.stdout)
    assert [name.removeprefix("builtins.").rpartition(".")[2] for name in revealed] == [
        "Problem", "Trace", "str", "Verdict",
    ]  # fmt: skip
    assert 'Argument 1 to "verify" has incompatible type "int"' in done.stdout
    assert "Found 1 error" in done.stdout


def test_the_wheel_holds_every_file_of_the_sources(tmp_path):
    pytest.importorskip("hatchling")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", str(tmp_path), str(ROOT)], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    held = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("zipthought/")}
    wanted = {
        path.relative_to(SOURCES.parent).as_posix()
        for path in SOURCES.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert wanted <= held
    for asset in ("py.typed", "tasks/nouns.txt", "study/presets/quick.toml", "report/templates/page.html"):
        assert f"zipthought/{asset}" in held
    assert {path.split("/")[3] for path in held if path.startswith("zipthought/models/bases/")} == {
        "bundled", "bundled-deep", "bundled-mixed", "neutral", "neutral-2",
    }  # fmt: skip


def test_version_and_date_agree_wherever_they_stand():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    version, date = re.search(r"^## (\S+) \((.*)\)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE).groups()
    assert zipthought.__version__ == version == citation["version"]
    assert date == citation["date-released"].isoformat()


def test_continuous_integration_runs_every_supported_version_of_python():
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    (job,) = workflow["jobs"].values()
    versions = job["strategy"]["matrix"]["python"]
    classified = [name.rpartition(" ")[2] for name in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", name)]
    assert versions == classified
    assert PROJECT["requires-python"] == f">={versions[0]}"
    assert job["steps"][-1] == {"run": ".ci/run", "env": {"PYTHON": "python"}}
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_what_the_table_of_additions_names_exists():
    rows = re.findall(r"^\| an? (.*) \|$", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE)
    assert len(rows) == 13
    for row in rows:
        model, registry, module, contract = re.findall(r"`([^`]+)`", row)
        registration = "COMMANDS = {" if registry == "COMMANDS" else f"{registry}.register"
        assert (SOURCES / model).exists(), row
        assert registration in (SOURCES / module).read_text(), row
        assert (ROOT / contract).exists(), row
