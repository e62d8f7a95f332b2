"""What `train`, `eval` and `predict` share: several DATA as one, and a cluster to work on."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import inf
from typing import TYPE_CHECKING, Annotated

import typer

from catclf.cli import output

if TYPE_CHECKING:
    from catclf.cluster.client import Cluster
    from catclf.common.types import FeatureExtractor
    from catclf.data.dataset import Dataset, Split

NETWORK = "an ONNX network"
Scheduler = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS", help="Of a Dask cluster to work on; or local."),
]


def start(
    context: typer.Context, scheduler: str | None, alone: Mapping[str, bool] | None = None
) -> Cluster | None:
    """Connect to the cluster that --scheduler names, until the command ends.

    Of the options that go with one machine alone, none may be set.
    """
    if scheduler is None:
        return None
    for option, is_set in (alone or {}).items():
        if is_set:
            raise typer.BadParameter(f"{option} is for one machine, not for --scheduler")
    from catclf.cluster.client import Cluster

    cluster: Cluster = context.with_resource(Cluster(scheduler))
    return cluster


@contextmanager
def workers_bar(label: str, cluster: Cluster | None, quiet: bool) -> Iterator[None]:
    """Show on stderr, while the block runs, what a cluster does."""
    if cluster is None:
        yield
        return
    with output.progress_bar(label, None, quiet, counted=False) as advance:
        if advance is not None:
            cluster.told = lambda: advance(cluster.passes, str(cluster))
        yield
    cluster.told = None


def read_all(
    sources: Sequence[str | None],
    split: Split,
    cluster: Cluster | None,
    *,
    cat_class: str | None,
    quiet: bool,
    max_file_size: float,
    trust: bool,
    memory: float | None,
    by_folder: bool = False,
    feature_map: FeatureExtractor | None = None,
) -> tuple[list[Dataset], Dataset]:
    """Load data sets, of which patterns name several, and put them one after another.

    Up to `memory` bytes are kept in memory; on a cluster, the workers keep all, and so many may be
    taken here for examples that are wanted whole.
    """
    from catclf.common.memory import budget
    from catclf.data.dataset import join
    from catclf.data.load import expand_patterns

    sources = expand_patterns(sources)
    if cluster is not None:
        from catclf.cluster.remote_blocks import load

        return load(cluster, sources, split, cat_class=cat_class, trust=trust, memory=memory)
    # HDF5 files stay where they are until it is known whether all fit together; what comes from
    # several folders is in memory twice, in the parts and in the whole.
    left = memory if len(sources) == 1 else budget(memory, inf) / 2
    parts = []
    for source in sources:
        is_folder = source is not None and os.path.isdir(source)
        part = output.read(
            source,
            split,
            cat_class,
            quiet,
            max_file_size=max_file_size,
            trust=trust,
            memory=left if is_folder else 0,
            feature_map=feature_map,
        )
        if is_folder and left is not None:
            left -= part.nbytes
        parts.append(part)
    whole = join([part.grouped_by_folder() if by_folder else part for part in parts])
    return parts, whole.within(memory)
