"""What README shows works as it stands there."""

import re
import runpy
from pathlib import Path

import pytest

from zipthought.cli import COMMANDS

README = Path(__file__).parents[1] / "README.md"


def test_the_five_lines():
    code = re.search(r"```python\n(.*?)```", README.read_text(), re.DOTALL)[1]
    scope: dict = {}
    exec(code, scope)
    assert scope["verdict"].faithful
    assert scope["verdict"].granularity == (2, 2, 2)


def test_the_pairs_in_docs_are_those_of_the_code():
    page = runpy.run_path(str(README.parent / "examples" / "pairs.py"))["page"]()
    assert (README.parent / "docs" / "examples.md").read_text() == page


@pytest.mark.parametrize("line", re.findall(r"^(zipthought .*)$", README.read_text(), re.MULTILINE))
def test_every_command_of_the_readme_exists(line):
    assert any(line.split("zipthought ", 1)[1].startswith(words) for words in COMMANDS)
