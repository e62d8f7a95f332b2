"""Run the benchmarks, all or those named: print their tables, store them, draw their charts."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from benchmarks import (
    charts,
    cluster,
    descent,
    gram,
    passes,
    path,
    results,
    scale,
    startup,
    throughput,
    training,
)
from benchmarks.measuring import Options, describe_machine, describe_versions
from benchmarks.results import Result

BENCHMARKS: dict[str, Callable[[Options], Result]] = {
    "descent": descent.run,
    "training": training.run,
    "path": path.run,
    "gram": gram.run,
    "passes": passes.run,
    "scale": scale.run,
    "cluster": cluster.run,
    "startup": startup.run,
    "throughput": throughput.run,
}
"""In the order in which they run and are shown."""

IN_README = ("descent", "training", "path", "startup", "throughput")
"""The README shows the headlines of these."""
README = Path(__file__).resolve().parents[1] / "README.md"
STORED = README.parent / "docs" / "benchmarks"


def measure(name: str, options: Options) -> Result:
    """Run one benchmark, and note where."""
    result = BENCHMARKS[name](options)
    return replace(result, name=name, machine=describe_machine(), versions=describe_versions())


def store(measured: list[Result], folder: Path) -> None:
    """Write results and their charts, and the page of all that are stored there."""
    folder.mkdir(parents=True, exist_ok=True)
    for result in measured:
        result.save(folder / f"{result.name}.json")
        if result.name in charts.CHARTS and find_spec("matplotlib"):
            charts.save(result, folder / f"{result.name}.svg")
    if not find_spec("matplotlib"):
        print("matplotlib is not installed: no charts", file=sys.stderr)
    text = results.page(results.load_all(folder, BENCHMARKS), charts.CHARTS)
    (folder / "README.md").write_text(text)


def write_readme(text: str, folder: Path = STORED) -> str:
    """Give the README with its table as the stored results have it."""
    table = results.readme_table(results.load_all(folder, IN_README))
    return results.put_between_markers(text, table)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}")
    parser.add_argument("--data", help="what `catclf train` takes; else the course's file or drawn")
    parser.add_argument("--photos", metavar="FOLDER", help="JPEGs to read; else drawings as JPEGs")
    parser.add_argument("--quick", action="store_true", help="a short run, not to be believed")
    parser.add_argument(
        "--out", type=Path, help="where results go: docs/benchmarks, or nowhere if --quick"
    )
    parser.add_argument(
        "--readme", action="store_true", help="only write charts, page and README anew from there"
    )
    given = parser.parse_args()
    if unknown := set(given.names) - set(BENCHMARKS):
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    folder = given.out or (None if given.quick else STORED)
    if given.readme:
        store(results.load_all(given.out or STORED, BENCHMARKS), given.out or STORED)
        README.write_text(write_readme(README.read_text(), given.out or STORED))
        return
    print(describe_machine(), flush=True)
    for name in given.names or BENCHMARKS:
        try:
            result = measure(name, Options(given.data, given.photos, given.quick))
        except ModuleNotFoundError as error:
            print(f"{name} is left out: {error}", file=sys.stderr)
            continue
        print(results.section(result, chart=False), flush=True)
        if folder is not None:
            store([result], folder)


if __name__ == "__main__":
    main()
