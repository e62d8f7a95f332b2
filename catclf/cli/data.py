"""catclf data: look into data sets, check, convert and fetch them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from catclf.cli import loading, output
from catclf.common.text import printable

if TYPE_CHECKING:
    from catclf.data.check import Card, Finding

CASES_SHOWN = 10
NAMES_SHOWN = 4

Part = Annotated[
    Literal["train", "test"],
    typer.Option("--split", help="Of an HDF5 file that has both, the one to use."),
]

app = typer.Typer(
    help="Inspect, check, convert and fetch data sets.",
    epilog="For example: catclf data check photos/train photos/test",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)


@app.command()
def info(
    data: loading.Data,
    picture: Annotated[
        str | None,
        typer.Option("--picture", "-p", metavar="PNG", help="Write mean pictures and a sample."),
    ] = None,
    split: Part = "train",
    cat_class: loading.CatClass = None,
    as_json: output.Json = False,
    quiet: output.Quiet = False,
) -> None:
    """Show counts, sizes, digests and duplicates.

    \b
    catclf data info photos/train
    catclf data info photos/train --picture sheet.png
    """
    from dataclasses import asdict

    from catclf.data.check import make_card

    if picture is not None:
        from catclf.pictures.png import check_target, contact_sheet, save

        check_target(picture)
    _, dataset = loading.load_all([data], split, cat_class=cat_class)
    with loading.working_bar("looking for copies"):
        card = make_card(dataset, data)
    if picture is not None:
        save(contact_sheet(dataset), picture)
        output.note(f"wrote {picture}")
    if as_json:
        print(output.to_json(asdict(card)))
    else:
        _show_card(card)


def _show_card(card: Card) -> None:
    rows = []
    for name, count in card.counts.items():
        mean = ", ".join(f"{value:.0f}" for value in card.colours.get(name, ()))
        rows.append((name, str(count), f"{count / card.images:.1%}", mean or "-"))
    print(output.table([f"{card.images} images", "", "share", "mean R, G, B"], rows))
    print()
    print(f"the same pixels again: {card.copies}")
    print(f"near-identical to an earlier one, mirrored or not: {card.near_copies}")
    if card.sources:
        print(f"different sources: {card.sources}")
    if card.unreadable:
        print(f"files that cannot be read: {card.unreadable}")
    if card.originals:
        least, middle, most = (f"{width} × {height}" for width, height in card.originals)
        print(f"originals: {least} the smallest, {middle} the median, {most} the largest")
    if card.size is not None:
        print(f"bytes: {card.size:,}")
    if card.file_sha256:
        print(f"sha256 of the file: {card.file_sha256}")
    print(f"sha256 of images and labels: {card.sha256}")


@app.command()
def check(
    train: Annotated[
        str, typer.Argument(metavar="TRAIN", help="An HDF5 file, a folder of classes, or drawn.")
    ],
    test: Annotated[
        str | None, typer.Argument(metavar="[TEST]", help="Likewise; must share no image with it.")
    ] = None,
    cat_class: loading.CatClass = None,
    as_json: output.Json = False,
    quiet: output.Quiet = False,
) -> None:
    """Look for what spoils a data set or two.

    If images of TEST are in TRAIN, exit with 1. Also told: labels that contradict, duplicates,
    images of one colour, enlarged ones, files that cannot be read, rare classes. Copies are found
    if resized, recompressed or mirrored, too.

    \b
    catclf data check photos/train
    catclf data check photos/train photos/test
    """
    from dataclasses import asdict

    from catclf.data import check as checks

    sets = {"train": loading.load_all([train], "train", cat_class=cat_class)[1]}
    if test is not None:
        sets["test"] = loading.load_all([test], "test", cat_class=cat_class)[1]
    with loading.working_bar("comparing"):
        report = checks.check(**sets)
    with output.reader_may_leave():
        if as_json:
            counts = {role: data.counts for role, data in sets.items()}
            print(output.to_json({"counts": counts, **asdict(report)}))
        else:
            for role, data in sets.items():
                shares = ", ".join(
                    f"{output.printable(name)} {count} ({count / len(data):.1%})"
                    for name, count in data.counts.items()
                )
                print(f"{role}: {len(data)} images: {shares}")
            for finding in report.findings:
                _show_finding(finding)
            if not report.findings:
                print("nothing found")
    if report.leaked:
        m = len(sets["test"])
        output.error(f"images of TEST that are in TRAIN too: {report.leaked} of {m}")
        raise typer.Exit(1)


def _show_finding(finding: Finding) -> None:
    print(f"\n{finding.title}: {len(finding.cases)}")
    for case in finding.cases[:CASES_SHOWN]:
        names = [output.plain(printable(name)) for name in case.images[:NAMES_SHOWN]]
        if len(case.images) > NAMES_SHOWN:
            names.append(f"{len(case.images) - NAMES_SHOWN} more")
        print("  " + (" = " if case.exact else " ~ ").join(names))
    if len(finding.cases) > CASES_SHOWN:
        print(f"  and {len(finding.cases) - CASES_SHOWN} more; --json lists them all")


@app.command()
def convert(
    source: Annotated[
        str, typer.Argument(metavar="FROM", help="A folder of classes, or an HDF5 file.")
    ],
    out: Annotated[
        str, typer.Argument(metavar="TO", help="The HDF5 file, or the folder, to write.")
    ],
    split: Part = "train",
    cat_class: loading.CatClass = None,
    quiet: output.Quiet = False,
) -> None:
    """Turn a folder into an HDF5 file, or one into a folder, or into another file.

    The folder has a sub-folder per class; written, it holds PNG files named by row. Every image
    becomes 64 by 64. The HDF5 file has the course's layout, compressed; the keys begin with train,
    or as --split says. TO is a file if it ends in .h5 or .hdf5, or FROM is a folder. What is
    written appears whole or not at all.

    \b
    catclf data convert photos/train train.h5
    catclf data convert train.h5 photos/again
    """
    from catclf.data.convert import check_folder, dataset_to_folder, to_hdf5
    from catclf.data.folders import is_folder
    from catclf.data.load import expand_pattern

    source, *more = expand_pattern(source)
    if more:
        raise typer.BadParameter(f"{1 + len(more)} files match FROM; name one of them")
    if is_folder(source) or out.lower().endswith((".h5", ".hdf5")):
        with output.counting_bar("converting", "photos") as progress:
            count, notes = to_hdf5(source, out, split=split, cat_class=cat_class, progress=progress)
        output.note(*notes)
    else:
        check_folder(out)
        _, dataset = loading.load_all([source], split, cat_class=cat_class)
        if dataset.groups:
            output.note("what the images belong with (source) is not kept in a folder")
        count = len(dataset)
        with output.counting_bar("writing", "photos") as progress:
            dataset_to_folder(dataset, out, progress)
    print(f"wrote {count} images to {output.printable(out)}")


@app.command()
def draw(
    n: Annotated[int, typer.Argument(metavar="N", min=2, help="How many.")],
    out: Annotated[str, typer.Argument(metavar="TO", help="The HDF5 file to write.")],
    seed: Annotated[
        int, typer.Option(help="Other seeds, other drawings; drawn trains on 0 and tests on 1.")
    ] = 0,
    quiet: output.Quiet = False,
) -> None:
    """Write drawings to an HDF5 file, half of them of cats.

    \b
    catclf data draw 2000 drawings.h5 --seed 2
    """
    from catclf.data.convert import draw_to_hdf5

    with output.counting_bar("drawing", "drawings") as progress:
        draw_to_hdf5(n, out, seed, progress)
    print(f"wrote {n} drawings to {output.printable(out)}")


@app.command()
def fetch(
    what: Annotated[
        Literal["course"], typer.Argument(metavar="course", help="The course's two files.")
    ],
    folder: Annotated[str, typer.Option(help="Where they go.")] = "datasets",
    quiet: output.Quiet = False,
) -> None:
    """Download the course's images, 3.2 MB, and verify them.

    The training and test files come by HTTPS from fixed addresses, the second if the first fails,
    and must have the sha256 that is known. Each is written whole or not at all.

    \b
    catclf data fetch course
    """
    import os

    from catclf.data import fetch as fetching

    for file in fetching.COURSE:
        with output.progress_bar(file.name, file.size, counted=False) as advance:

            def progress(done: int, size: int) -> None:
                advance(done, f"{done / 1e6:.1f} of {size / 1e6:.1f} MB")

            fetched = fetching.fetch(file, folder, progress=progress, note=output.note)
        how = "fetched and verified" if fetched else "already there"
        print(f"{output.printable(os.path.join(folder, file.name))}: {how}")
