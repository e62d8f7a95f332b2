"""What the README shows is what the commands print."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).resolve().parents[1] / "README.md"


def sessions(text):
    """The commands of each console block, with the output shown for them."""
    for block in re.findall(r"^```console\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        shown = re.split(r"^\$ (.*)\n", block, flags=re.MULTILINE)
        yield list(zip(shown[1::2], shown[2::2], strict=True))


def without_what_varies(output):
    """Drop trailing blanks, the seconds and the folder, which differ from run to run."""
    output = re.sub(r"[ ]+$", "", output, flags=re.MULTILINE)
    output = re.sub(
        r"^[\d.]+ s; wrote .*/models/", "T s; wrote models/", output, flags=re.MULTILINE
    )
    return output.strip("\n")


def test_the_readme_shows_what_its_commands_print(shared, tmp_path):
    shutil.copytree(shared / "datasets" / "course", tmp_path / "datasets")
    blocks = list(sessions(README.read_text()))
    assert sum(map(len, blocks)) == 2
    for command, shown in (pair for block in blocks for pair in block):
        words = shlex.split(command)
        assert words[0] == "catclf"
        done = subprocess.run(
            [sys.executable, "-m", *words], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        assert without_what_varies(done.stdout) == without_what_varies(shown)


@pytest.mark.parametrize("change", [("99.04%", "99.05%"), ("0.140872", "0.140873")])
def test_a_stale_figure_would_be_noticed(change):
    text = README.read_text()
    assert list(sessions(text)) != list(sessions(text.replace(*change)))


def test_the_readme_names_every_exit_code():
    from catclf import errors

    codes = {int(code) for code in re.findall(r"^\| (\d+) \|", README.read_text(), re.MULTILINE)}
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    assert {kind.exit_code for kind in kinds} | {0, 70, 130} == codes
