"""What a data set holds, as its card says, and what is wrong with it, alone or beside another."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from catclf.common.blocks import in_blocks
from catclf.common.types import IMAGE_SIZE
from catclf.data.dataset import Dataset
from catclf.data.duplicates import group_duplicates

RARE = 0.1
"""A class with a smaller share of the images than this is rare."""
PLAIN = 8
"""An image is of a single colour if each channel varies by so little, of 255, at most."""

Rows = NDArray[np.intp]
"""The numbers of some images."""


@dataclass(frozen=True)
class Card:
    """The figures of a data set."""

    name: str
    images: int
    counts: dict[str, int]  # images of each class, by name
    sha256: str  # of the images' bytes followed by the labels', as models remember it
    file_sha256: str | None  # of the file, if it is one
    size: int | None  # bytes in the file, or in the files of all images
    # The smallest, median and largest original by number of pixels, where they are known.
    originals: tuple[tuple[int, int], ...] | None
    copies: int  # images whose pixels an earlier image has already
    near_copies: int  # besides these: near-identical to an earlier one, or its mirror image
    sources: int  # different groups that images belong to; 0 where nothing is known of them
    unreadable: int  # files left out because they are damaged
    colours: dict[str, tuple[float, ...]]  # mean red, green and blue of each class, 0 to 255


def make_card(dataset: Dataset, data: str | os.PathLike[str] | None = None) -> Card:
    """Draw up the card of a data set; `data` is where it was read from, if that was a file."""
    exact, near = number_pictures(dataset)
    is_copy = exact != np.arange(len(dataset))
    by_size = sorted(dataset.sizes, key=lambda size: (size[0] * size[1], size))
    file_sha256, size = None, None
    if data is not None and Path(data).is_file():
        with open(data, "rb") as file:
            file_sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            size = file.tell()
    elif dataset.sizes:  # so that all of it comes from files of images
        size = sum(os.stat(path).st_size for path in dataset.paths)
    return Card(
        name=dataset.name,
        images=len(dataset),
        counts=dataset.counts,
        sha256=dataset.sha256,
        file_sha256=file_sha256,
        size=size,
        originals=(by_size[0], by_size[len(by_size) // 2], by_size[-1]) if by_size else None,
        copies=int(is_copy.sum()),
        near_copies=int(((near != exact) & ~is_copy).sum()),
        sources=len(set(dataset.groups)),
        unreadable=len(dataset.unreadable),
        colours={
            name: tuple(float(round(value, 1)) for value in mean.mean(axis=(0, 1)))
            for name, mean in mean_pictures(dataset).items()
        },
    )


def mean_pictures(dataset: Dataset) -> dict[str, NDArray[np.float64]]:
    """Average the images of each class that has any: float64 (64, 64, 3), 0 to 255, by name."""
    means = {}
    for y, name in enumerate(dataset.classes):
        rows = np.flatnonzero(dataset.Y[0] == y)
        if len(rows):
            blocks = (dataset.images[rows[i : i + 1024]] for i in range(0, len(rows), 1024))
            means[name] = sum(block.sum(axis=0, dtype=np.float64) for block in blocks) / len(rows)
    return means


@dataclass(frozen=True)
class Case:
    """Images that are one case of a finding, by name; `exact` says that their pixels are equal."""

    images: tuple[str, ...]
    exact: bool = True


@dataclass(frozen=True)
class Finding:
    """One kind of thing that was found, and each time it was."""

    kind: str  # leak, conflict, exact, near, plain, tiny, unreadable or rare
    title: str  # for a person
    cases: list[Case]


@dataclass(frozen=True)
class Report:
    """What a check found, the gravest first; `leaked` counts the images of TEST that TRAIN has."""

    findings: list[Finding]
    leaked: int


def check(train: Dataset, test: Dataset | None = None) -> Report:
    """Look for leaks, contradicting labels, duplicates, poor images and rare classes.

    With two data sets, what they share is looked for too. The report has each kind of finding that
    there is a case of.
    """
    sets = {"train": train} if test is None else {"train": train, "test": test}
    names = [name for role, data in sets.items() for name in _names(role, data)]
    y = np.concatenate([data.Y[0] for data in sets.values()])
    labelled = [f"{name} ({train.classes[c]})" for name, c in zip(names, y, strict=True)]
    exact, near = number_pictures(*sets.values())
    groups = _groups(near)
    in_test = np.arange(len(names)) >= len(train)
    leaks = [g for g in groups if in_test[g].any() and not in_test[g].all()]
    copies = [g[part] for g in groups for part in (~in_test[g], in_test[g]) if part.sum() > 1]

    def cases(groups: Iterable[Rows], names: Sequence[str] = names) -> list[Case]:
        return [Case(tuple(names[i] for i in g), _are_equal(exact[g])) for g in groups]

    def lines(look: Callable[[str, Dataset], Iterable[str]]) -> list[Case]:
        return [Case((line,)) for role, data in sets.items() for line in look(role, data)]

    copied = cases(copies)
    findings = [
        Finding("leak", "images of TEST that are in TRAIN too", cases(leaks)),
        Finding("conflict", "pictures with both labels", cases(_contradict(groups, y), labelled)),
        Finding("exact", "the same pixels twice or more", [case for case in copied if case.exact]),
        Finding("near", "near-identical images", [case for case in copied if not case.exact]),
        Finding("plain", "images of a single colour", lines(_plain)),
        Finding("tiny", f"enlarged: originals below {IMAGE_SIZE} pixels on a side", lines(_tiny)),
        Finding("unreadable", "files that cannot be read", lines(lambda _, data: data.unreadable)),
        Finding("rare", "classes with few images", lines(_rare)),
    ]
    leaked = sum(int(in_test[g].sum()) for g in leaks)
    return Report([finding for finding in findings if finding.cases], leaked)


def warnings(parts: Sequence[Dataset], whole: Dataset) -> Iterator[str]:
    """Say in a line each what is wrong with `whole`, the training images, put together of `parts`.

    That is pictures with both labels, and images that are in several of the parts.
    """
    part_of = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    groups = _groups(whole.duplicate_groups)
    conflicts = _contradict(groups, whole.Y[0])
    if conflicts:
        first = " and ".join(whole.label(int(i)) for i in conflicts[0][:2])
        more = f", and {len(conflicts) - 1} more such" if len(conflicts) > 1 else ""
        yield f"one picture with both labels: {first}{more}; catclf data check lists them"
    shared = sum(int((part_of[g] > part_of[g].min()).sum()) for g in groups)
    if shared:
        yield f"several DATA overlap: images that an earlier one has already: {shared}"


def number_pictures(*sets: Dataset) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Number the pictures in several data sets, as if they were one after another.

    Two int64 arrays (sum of all m,) give, for each image, the index of the first one with the same
    pixels, and of the first one of its group: near-identical, mirrored or not.
    """
    digests = [
        hashlib.sha256(np.ascontiguousarray(image).data).digest()
        for data in sets
        for _, block in in_blocks(data.images)
        for image in block
    ]
    first: dict[bytes, int] = {}
    exact = np.array([first.setdefault(digest, i) for i, digest in enumerate(digests)], np.int64)
    near = group_duplicates(*(data.signatures for data in sets))
    return exact, near[exact]  # so that copies of one colour are one picture too


def _groups(number: NDArray[np.int64]) -> list[Rows]:
    """List the rows of each number that occurs more than once."""
    order = np.argsort(number, kind="stable")
    starts = np.flatnonzero(np.diff(number[order]))
    return [group for group in np.split(order, starts + 1) if len(group) > 1]


def _are_equal(numbers: NDArray[np.int64]) -> bool:
    return bool((numbers == numbers[0]).all())


def _contradict(groups: Iterable[Rows], y: NDArray[np.int64]) -> list[Rows]:
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
