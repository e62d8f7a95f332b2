"""Run the benchmarks, all or those named; print their tables; store results, plots and the page."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks import frame, pages, plots
from benchmarks.frame import Line, Result

MODULES = (
    "descent",
    "training",
    "path",
    "gram",
    "passes",
    "scale",
    "cluster",
    "startup",
    "throughput",
)
"""The benchmarks, in the order in which they run and are shown; a module of this package each."""

PROJECT = Path(__file__).resolve().parents[1]
STORED = PROJECT / "docs" / "benchmarks"


def module(name: str) -> Any:
    return import_module(f"benchmarks.{name}")


def measure(name: str, settings: frame.Settings) -> Result:
    """Run one benchmark, and note where."""
    of = module(name)
    return replace(
        of.run(settings),
        name=name,
        machine=frame.machine(),
        versions=frame.versions(of.PACKAGES),
    )


def store(result: Result, folder: Path) -> None:
    """Write a result and its plot, and the page of all that are stored there."""
    folder.mkdir(parents=True, exist_ok=True)
    result.save(folder / f"{result.name}.json")
    if find_spec("matplotlib") is None:
        print("matplotlib is not installed: no plot", file=sys.stderr)
    else:
        draw = partial(module(result.name).plot, result)
        plots.save(draw, result.title, folder / f"{result.name}.svg")
    (folder / "README.md").write_text(pages.page(pages.stored(folder, MODULES)))


def readme(text: str, folder: Path = STORED) -> str:
    """Give the README with its table as the stored results have it."""
    shown: list[tuple[Result, list[Line]]] = [
        (result, module(result.name).summary(result)) for result in pages.stored(folder, MODULES)
    ]
    return pages.between(text, pages.readme_table(shown))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(MODULES)}")
    parser.add_argument("--data", help="what `catclf train` takes; else the course's file or drawn")
    parser.add_argument("--photos", metavar="FOLDER", help="JPEGs to read; else drawings as JPEGs")
    parser.add_argument(
        "--quick", action="store_true", help="a short run whose figures mean nothing"
    )
    parser.add_argument(
        "--out", type=Path, help="where results go: docs/benchmarks, or nowhere if --quick"
    )
    parser.add_argument(
        "--readme",
        action="store_true",
        help="measure nothing: write plots, page and README from what is stored",
    )
    given = parser.parse_args()
    if unknown := set(given.names) - set(MODULES):
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(MODULES)}")
    if given.readme:
        path, folder = PROJECT / "README.md", given.out or STORED
        for result in pages.stored(folder, MODULES):
            store(result, folder)
        path.write_text(readme(path.read_text(), folder))
        return
    folder = given.out or (None if given.quick else STORED)
    print(frame.machine(), flush=True)
    for name in given.names or MODULES:
        result = measure(name, frame.Settings(given.data, given.quick, given.photos))
        print(pages.terminal(result), flush=True)
        if folder is not None:
            store(result, folder)


if __name__ == "__main__":
    main()
