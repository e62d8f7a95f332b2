"""What the README shows is what the commands print."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from catclf import errors

README = Path(__file__).resolve().parents[1] / "README.md"


def sessions(text):
    """The commands of each console block, with the output shown for them."""
    for block in re.findall(r"^```console\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        shown = re.split(r"^\$ (.*)\n", block, flags=re.MULTILINE)
        yield list(zip(shown[1::2], shown[2::2], strict=True))


def without_what_varies(output):
    """Drop trailing blanks, the seconds and the folder."""
    output = re.sub(r"[ ]+$", "", output, flags=re.MULTILINE)
    return re.sub(r"^[\d.]+ s; wrote .*/models/", "", output, flags=re.MULTILINE).strip("\n")


def test_the_readme_shows_what_its_commands_print(shared, tmp_path):
    shutil.copytree(shared / "datasets" / "course", tmp_path / "datasets")
    blocks = list(sessions(README.read_text()))
    assert sum(map(len, blocks)) == 1
    for command, shown in (pair for block in blocks for pair in block):
        words = shlex.split(command)
        assert words[0] == "catclf"
        done = subprocess.run(
            [sys.executable, "-m", *words], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        assert without_what_varies(done.stdout) == without_what_varies(shown)


def test_the_readme_names_every_exit_code():
    codes = {int(code) for code in re.findall(r"^\| (\d+) \|", README.read_text(), re.MULTILINE)}
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    assert {kind.exit_code for kind in kinds} | {0, 70, 130} == codes
