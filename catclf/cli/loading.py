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
Data = Annotated[
    str,
    typer.Argument(
        metavar="DATA",
        help="An HDF5 file, a folder with a sub-folder per class, or the word drawn.",
    ),
]
Trust = Annotated[bool, typer.Option("--trust", help="Read HDF5 data however large.")]


def to_bytes(mebibytes: float) -> int:
    """Turn what --max-file-size says into bytes."""
    if not 0 < mebibytes <= 2**20:
        raise typer.BadParameter(f"--max-file-size is a number of MiB above 0, not {mebibytes:g}")
    return int(mebibytes * 2**20)


def _load(source: str | None, split: Split, **how: Any) -> Dataset:
    """Load a data set, with a bar for a folder; `how` is as in `load_dataset`."""
    from catclf.data.load import load_dataset

    feature_map: FeatureExtractor | None = how.get("feature_map")
    with output.counting_bar("reading", "photos") as progress:
        dataset = load_dataset(source, split=split, on_disk=True, progress=progress, **how)
        if feature_map is not None and not feature_map.enlarges:
            from catclf.features.feature_map import extract

            dataset = dataset.with_features(feature_map, extract, progress)
    return dataset


def load_all(
    sources: Sequence[str | None],
    split: Split,
    cluster: Cluster | None = None,
    *,
    memory: float | None = None,
    by_folder: bool = False,
    again: bool = False,
    **how: Any,
) -> tuple[list[Dataset], Dataset]:
    """Load data sets, of which patterns name several, and put them one after another.

    Up to `memory` bytes are kept in memory; on a cluster, the workers keep all, and so many may be
    taken here for examples that are wanted whole. How they were read is told, but not `again`. All
    else is as in `catclf.data.load.load_dataset`. What is returned is each for itself, and the
    whole.
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
        output.note(*whole.notes)
        return parts, whole
    # HDF5 files stay where they are until it is known whether all fit together; what cannot, such
    # as several folders, is in memory twice, in the parts and in the whole.
    left = memory if len(sources) == 1 else budget(memory, inf) / 2
    parts = []
    for source in sources:
        part = _load(source, split, memory=left, **how)
        output.note(*(() if again else part.notes))
        if not isinstance(part.images, LazyArray) and left is not None:
            left -= part.nbytes
        parts.append(part)
    whole = join([part.grouped_by_folder() if by_folder else part for part in parts])
    return parts, whole.within(memory)


@contextmanager
def cached(feature_map: FeatureMap | None, cache: str | None) -> Iterator[FeatureExtractor | None]:
    """Give what makes features while photos are read: the map, or one that keeps a network's."""
    if cache is None:
        yield feature_map
        return
    from catclf.features import ONNX
    from catclf.features.cache import FeatureCache

    if feature_map is None or feature_map.name != ONNX:
        raise typer.BadParameter("--cache is for features of an ONNX network")
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
def working_bar(label: str, cluster: Cluster | None = None) -> Iterator[Progress | None]:
    """Show on stderr that the block runs: what a cluster does, or how many photos are done."""
    if cluster is None:
        with output.counting_bar(label, "photos") as progress:
            yield progress
        return
    with output.progress_bar(label, counted=False) as advance:
        cluster.callback = lambda: advance(cluster.passes, str(cluster))
        yield None
    cluster.callback = None
