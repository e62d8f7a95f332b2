"""Data sets for the commands: options, a bar while they are loaded, here or onto a cluster."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import inf
from typing import TYPE_CHECKING, Annotated, Any

import typer

from catclf.cli import output

if TYPE_CHECKING:
    from catclf.cluster import Cluster
    from catclf.common.types import FeatureExtractor, Progress
    from catclf.data.dataset import Dataset, Split
    from catclf.features import FeatureMap

NETWORK = "an ONNX network"
CatClass = Annotated[
    list[str] | None,
    typer.Option("--cat-class", metavar="NAME", help="A class of cats, by name; again for more."),
]
MaxFileSize = Annotated[
    float,
    typer.Option("--max-file-size", metavar="MIB", help="Of an image. [64]", show_default=False),
]
Memory = Annotated[
    str | None,
    typer.Option("--memory", metavar="SIZE", help="For data, as 2GB. [half of what is free]"),
]
Scheduler = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS", help="Of a Dask cluster to work on; or local."),
]
Trust = Annotated[bool, typer.Option("--trust", help="Read HDF5 data however large.")]


def to_bytes(mebibytes: float) -> int:
    """Turn what --max-file-size says into bytes."""
    if not 0 < mebibytes <= 2**20:
        raise typer.BadParameter(f"--max-file-size is a number of MiB above 0, not {mebibytes:g}")
    return int(mebibytes * 2**20)


def load(
    source: str | None,
    split: Split,
    *,
    quiet: bool,
    cat_class: Sequence[str] | None = None,
    max_file_size: float = 64,
    trust: bool = False,
    memory: float | None = None,
    on_disk: bool = False,
    feature_map: FeatureExtractor | None = None,
) -> Dataset:
    """Load a data set, with a bar for a folder, and tell how it was read.

    Up to `memory` bytes of it are kept in memory; half of what is available without. Whatever
    can stay `on_disk` does so if asked for.
    """
    from catclf.data.load import load_dataset

    with output.counting_bar("reading", "photos", quiet) as progress:
        dataset = load_dataset(
            source,
            split=split,
            cat_class=cat_class,
            max_bytes=to_bytes(max_file_size),
            trust=trust,
            memory=memory,
            on_disk=on_disk,
            feature_map=feature_map,
            progress=progress,
        )
        if feature_map is not None:
            from catclf.features.feature_map import extract

            dataset = dataset.with_features(feature_map, extract, progress)
    for line in dataset.notes:
        output.note(line, quiet)
    return dataset


def load_all(
    sources: Sequence[str | None],
    split: Split,
    cluster: Cluster | None = None,
    *,
    memory: float | None = None,
    quiet: bool,
    by_folder: bool = False,
    **how: Any,
) -> tuple[list[Dataset], Dataset]:
    """Load data sets, of which patterns name several, and put them one after another.

    Up to `memory` bytes are kept in memory; on a cluster, the workers keep all, and so many may be
    taken here for examples that are wanted whole. All else is as in `load`. What is returned is
    each for itself, and the whole.
    """
    from catclf.common.blocks import LazyArray, budget
    from catclf.data.dataset import join
    from catclf.data.load import expand_pattern

    sources = [
        path for word in sources for path in ([word] if word is None else expand_pattern(word))
    ]
    if cluster is not None:
        from catclf.cluster.remote_blocks import load as load_remotely

        settings = {key: how[key] for key in ("cat_class", "trust")}
        parts, whole = load_remotely(cluster, sources, split, memory=memory, **settings)
        for line in whole.notes:
            output.note(line, quiet)
        return parts, whole
    # HDF5 files stay where they are until it is known whether all fit together; what cannot, such
    # as several folders, is in memory twice, in the parts and in the whole.
    left = memory if len(sources) == 1 else budget(memory, inf) / 2
    parts = []
    for source in sources:
        part = load(source, split, quiet=quiet, memory=left, on_disk=True, **how)
        if not isinstance(part.images, LazyArray) and left is not None:
            left -= part.nbytes
        parts.append(part)
    whole = join([part.grouped_by_folder() if by_folder else part for part in parts])
    return parts, whole.within(memory)


@contextmanager
def cached(feature_map: FeatureMap | None, cache: str | None) -> Iterator[FeatureExtractor | None]:
    """Give what makes a network's features: the map itself, or one that keeps them in a file."""
    if cache is None:
        yield feature_map
        return
    if feature_map is None:
        raise typer.BadParameter("--cache is for features of an ONNX network")
    from catclf.features.cache import FeatureCache

    with FeatureCache(feature_map, cache) as caching:
        yield caching


def connect(
    context: typer.Context, scheduler: str | None, alone: Mapping[str, bool]
) -> Cluster | None:
    """Connect to the cluster that --scheduler names, if any, until the command ends.

    Of the options that go with one machine alone, none may be set.
    """
    if scheduler is None:
        return None
    for option, is_set in alone.items():
        if is_set:
            raise typer.BadParameter(f"{option} is for one machine, not for --scheduler")
    from catclf.cluster import Cluster

    cluster: Cluster = context.with_resource(Cluster(scheduler))
    return cluster


@contextmanager
def working_bar(label: str, cluster: Cluster | None, quiet: bool) -> Iterator[Progress | None]:
    """Show on stderr that the block runs: what a cluster does, or how many photos are done."""
    if cluster is None:
        with output.counting_bar(label, "photos", quiet) as progress:
            yield progress
        return
    with output.progress_bar(label, None, quiet, counted=False) as advance:
        if advance is not None:
            cluster.callback = lambda: advance(cluster.passes, str(cluster))
        yield None
    cluster.callback = None
