"""Imports point one way between the rooms, the core is on the standard library, and the command line stays light."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import zipthought

ROOT = Path(zipthought.__file__).parent
ROOMS = (
    "core",
    "tasks",
    "surfaces",
    "files",
    "solutions",
    "records",
    "generation",
    "models",
    "train",
    "evaluation",
    "sampling",
    "rewriting",
    "mixing",
    "report",
    "study",
    "comparing",
    "advise",
    "commands",
)


def imported_rooms(path):
    """Rooms of this package that a module imports, wherever in the file."""
    package = path.relative_to(ROOT).parts[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = list(package[: len(package) - node.level + 1])
            yield (base + (node.module or "").split("."))[0]
        elif isinstance(node, ast.ImportFrom | ast.Import):
            names = [node.module] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
            for name in names:
                if name and name.startswith("zipthought."):
                    yield name.split(".")[1]


@pytest.mark.parametrize(
    "path",
    sorted(path for path in ROOT.rglob("*.py") if "templates" not in path.parts),
    ids=lambda p: str(p.relative_to(ROOT)),
)
def test_a_room_imports_only_rooms_above_it(path):
    room = path.relative_to(ROOT).parts[0]
    if room not in ROOMS:
        return  # The package itself and the command line see everything.
    allowed = ROOMS[: ROOMS.index(room) + 1]
    wrong = {name for name in imported_rooms(path) if name in ROOMS and name not in allowed}
    assert not wrong, f"{room} may import {', '.join(allowed)} only"


def test_the_core_is_on_the_standard_library():
    for path in (ROOT / "core").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module]
            assert all(name.split(".")[0] in sys.stdlib_module_names for name in names), path


SOURCES = sorted(path for path in ROOT.rglob("*.py") if "templates" not in path.parts)
REPOSITORY = ROOT.parents[1]
MAX_FILE, MAX_FUNCTION = 400, 60
LONGER: dict[str, int] = {}
"""``file:function`` -> lines, of the functions that are longer for a reason, which docs/architecture.md gives."""


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_and_functions_are_short(path):
    text = path.read_text()
    assert len(text.splitlines()) <= MAX_FILE
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            name = f"{path.relative_to(ROOT)}:{node.name}"
            assert node.end_lineno - node.lineno < LONGER.get(name, MAX_FUNCTION), name


@pytest.mark.skipif(
    not (REPOSITORY / "pyproject.toml").exists(), reason="the package is installed without its repository"
)
@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_that_the_sources_cite_exist(path):
    cited = re.findall(r"(?<![\w/{}<.-])((?:[\w.-]+/)*[\w-]+\.(?:md|toml|yml))(?![\w(])", path.read_text())
    cited += re.findall(r"\b((?:tests|docs|benchmarks|examples)/[\w/.-]*\w)", path.read_text())
    roots = (REPOSITORY, REPOSITORY / "docs", ROOT, path.parent, path.parent / "templates")
    missing = {name for name in cited if not any((root / name).exists() for root in roots)}
    assert missing <= WRITTEN, missing


WRITTEN = {"README.md", "pyproject.toml", "report.md"}
"""Names of files that commands write."""


def test_help_and_import_load_no_torch():
    code = "import sys, zipthought.cli as c; c.main(['--help']); import zipthought; zipthought.verify; "
    code += "print([m for m in ('torch', 'transformers', 'numpy') if m in sys.modules], file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
    assert "study run" in done.stdout


def test_every_command_explains_its_options_without_torch():
    code = (
        "import sys, contextlib\nfrom zipthought.cli import COMMANDS, main\n"
        "for words in COMMANDS:\n"
        "    with contextlib.suppress(SystemExit):\n"
        "        main([*words.split(), '--help'])\n"
        "print('torch' in sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip().splitlines()[-1] == "False"
    assert "--help" in done.stdout


def test_public_names_exist():
    for name in zipthought.__all__:
        assert getattr(zipthought, name) is not None
    with pytest.raises(AttributeError):
        _ = zipthought.nothing
