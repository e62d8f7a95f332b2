"""What is wrong with a data set, or between a training and a test set."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from catclf.common.blocks import in_blocks
from catclf.common.types import IMAGE_SIZE
from catclf.data.dataset import Dataset
from catclf.data.duplicates import clusters

RARE = 0.1
"""A class with a smaller share of the images than this is rare."""
PLAIN = 8
"""An image is of a single colour if each channel varies by so little, of 255, at most."""

Rows = NDArray[np.intp]
"""The numbers of some images."""


@dataclass(frozen=True)
class Case:
    """Images that are one case of a finding, by name; `exact` says that their pixels are equal."""

    images: tuple[str, ...]
    exact: bool = True


@dataclass(frozen=True)
class Finding:
    """One kind of thing that was found, and where.

    Attributes
    ----------
    kind : str
        "leak", "conflict", "exact", "near", "plain", "tiny", "unreadable" or "rare".
    title : str
        What was found, for a person.
    cases : list of Case
        Each time it was found.
    """

    kind: str
    title: str
    cases: list[Case]


@dataclass(frozen=True)
class Report:
    """What a check found, the gravest first; `leaked` counts the images of TEST that TRAIN has."""

    findings: list[Finding]
    leaked: int


def check(train: Dataset, test: Dataset | None = None) -> Report:
    """Look for leaks, contradicting labels, duplicates, poor images and rare classes.

    Parameters
    ----------
    train, test : Dataset
        One data set, or two: then what they share is looked for too.

    Returns
    -------
    Report
        Of each kind of finding that there is a case of.
    """
    sets = {"train": train} if test is None else {"train": train, "test": test}
    names = [name for role, data in sets.items() for name in _names(role, data)]
    y = np.concatenate([data.Y[0] for data in sets.values()])
    exact, near = number_pictures(*sets.values())
    groups = _groups(near)
    in_test = np.arange(len(names)) >= len(train)
    leaks = [g for g in groups if in_test[g].any() and not in_test[g].all()]
    copies = [g[part] for g in groups for part in (~in_test[g], in_test[g]) if part.sum() > 1]

    def is_exact(group: Rows) -> bool:
        return _are_equal(exact[group])

    def cases(groups: Iterable[Rows], names: Sequence[str] = names) -> list[Case]:
        return [Case(tuple(names[i] for i in g), is_exact(g)) for g in groups]

    labelled = [f"{name} ({train.classes[c]})" for name, c in zip(names, y, strict=True)]
    cases_by_kind = {
        ("leak", "images of TEST that are in TRAIN too"): cases(leaks),
        ("conflict", "pictures with both labels"): cases(_with_both_labels(groups, y), labelled),
        ("exact", "the same pixels twice or more"): cases(g for g in copies if is_exact(g)),
        ("near", "near-identical images"): cases(g for g in copies if not is_exact(g)),
    }
    lines_by_kind = {
        ("plain", "images of a single colour"): _plain,
        ("tiny", f"enlarged: originals below {IMAGE_SIZE} pixels on a side"): _tiny,
        ("unreadable", "files that cannot be read"): lambda role, data: data.unreadable,
        ("rare", "classes with few images"): _rare,
    }
    for kind, look in lines_by_kind.items():
        lines = [line for role, data in sets.items() for line in look(role, data)]
        cases_by_kind[kind] = [Case((line,)) for line in lines]
    findings = [Finding(*kind, cases) for kind, cases in cases_by_kind.items() if cases]
    return Report(findings, leaked=sum(int(in_test[g].sum()) for g in leaks))


def warnings(parts: Sequence[Dataset], whole: Dataset) -> Iterator[str]:
    """Say in a line each what is wrong with `whole`, the training images, put together of `parts`.

    That is pictures with both labels, and images that are in several of the parts.
    """
    part_of = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    groups = _groups(whole.clusters)
    conflicts = _with_both_labels(groups, whole.Y[0])
    if conflicts:
        first = " and ".join(whole.label(int(i)) for i in conflicts[0][:2])
        more = f", and {len(conflicts) - 1} more such" if len(conflicts) > 1 else ""
        yield f"one picture with both labels: {first}{more}; catclf data check lists them"
    shared = sum(int((part_of[g] > part_of[g].min()).sum()) for g in groups)
    if shared:
        yield f"several DATA overlap: images that an earlier one has already: {shared}"


def number_pictures(*sets: Dataset) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Number the pictures in several data sets, as if they were one after another.

    Returns
    -------
    exact : int64 (sum of all m,)
        The index of the first image with the same pixels.
    near : int64 (sum of all m,)
        The index of the first image of its cluster: near-identical, mirrored or not.
    """
    digests = np.array(
        [
            hashlib.sha256(np.ascontiguousarray(image).data).hexdigest()
            for data in sets
            for _, block in in_blocks(data.images)
            for image in block
        ]
    )
    _, first, which = np.unique(digests, return_index=True, return_inverse=True)
    exact = first[which].astype(np.int64)
    near = clusters(*(data.signatures for data in sets))
    return exact, near[exact]  # so that copies of one colour are one picture too


def _groups(number: NDArray[np.int64]) -> list[Rows]:
    """List the rows of each number that occurs more than once."""
    order = np.argsort(number, kind="stable")
    starts = np.flatnonzero(np.diff(number[order]))
    return [group for group in np.split(order, starts + 1) if len(group) > 1]


def _are_equal(numbers: NDArray[np.int64]) -> bool:
    return bool((numbers == numbers[0]).all())


def _with_both_labels(groups: Iterable[Rows], y: NDArray[np.int64]) -> list[Rows]:
    return [group for group in groups if not _are_equal(y[group])]


def _names(role: str, data: Dataset) -> Sequence[str]:
    return data.paths or [f"{role}[{i}]" for i in range(len(data))]


def _plain(role: str, data: Dataset) -> Iterator[str]:
    names = _names(role, data)
    for part, images in in_blocks(data.images):
        low, high = images.min(axis=(1, 2)), images.max(axis=(1, 2))
        for i in np.flatnonzero((high - low <= PLAIN).all(axis=1)):
            yield names[part.start + int(i)]


def _tiny(role: str, data: Dataset) -> Iterator[str]:
    for name, (width, height) in zip(_names(role, data), data.sizes, strict=False):
        if min(width, height) < IMAGE_SIZE:
            yield f"{name} ({width} × {height})"


def _rare(role: str, data: Dataset) -> Iterator[str]:
    for name, count in data.counts.items():
        if count < RARE * len(data):
            yield f"{role}: {name}, {count} of {len(data)} images"
