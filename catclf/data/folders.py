"""What a folder holds: the files in it and below, and those of classes with their labels."""

from __future__ import annotations

import os
import re
import shlex
import stat
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple
from unicodedata import normalize

from catclf.data.dataset import CatClass, Split, find_cats
from catclf.errors import DataError

IMAGE_SUFFIXES = frozenset([
    ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".gif", ".bmp", ".avif",
    ".heic", ".heif", ".tif", ".tiff",
])  # fmt: skip
"""What the name of a file ends in that is meant to be an image."""
HIDDEN = ("__MACOSX", "@eaDir", "$RECYCLE.BIN")
"""Folders that systems leave behind; they are skipped, as are those that begin with a dot."""
MOST_WORDS = 10
"""Images without folders are labelled by the first words of their names, if these are so few."""


def is_folder(path: str | os.PathLike[str]) -> bool:
    """Tell whether this is a folder; raise DataError if permission to look is denied."""
    try:
        return stat.S_ISDIR(os.stat(path).st_mode)
    except (FileNotFoundError, NotADirectoryError, ValueError):  # a null character in the name
        return False
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"{os.fspath(path)}: it cannot be read ({reason})") from error


def is_split(name: str) -> bool:
    """Tell whether a folder is called like a part of a data set: train, val, test_set, test1."""
    part = r"(train|training|val|valid|validation|test|testing)"
    return re.fullmatch(part + r"([ _-]?(set|data|images))?[ _-]?\d*", name.casefold()) is not None


class LabelledFile(NamedTuple):
    """A file, its label and class, and the folder within the class's that holds it, if any."""

    path: Path
    y: int
    class_name: str
    below: str = ""


Classes = dict[str, int]
"""The label of each class by name, cats first."""
Labelled = tuple[Classes, list[LabelledFile], Counter[str]]
"""The classes, their files in the same order, and how much was skipped, by kind."""


def label_files(folder: Path, split: Split, cat_class: CatClass) -> Labelled:
    """Find the files of each class in its folder and those within; without any, by their names.

    Raises
    ------
    DataError
        If there are no classes, none of them is the cats', or a folder cannot be listed.
    """
    contents = _sort_entries(folder)
    names = [path.name for path in contents["folder"]]
    links = [path.name for path in contents["link to a folder"]]
    labels, missing = find_cats(names, cat_class)
    splits = [name for name in (*names, *links) if is_split(name)]
    if splits and any(labels):
        raise DataError(
            f"{folder}: holds a class of cats beside the splits {list_names(splits)}; "
            f"expected one or the other: move {folder / splits[0]} elsewhere"
        )
    if splits:
        closest = next((name for name in splits if name.casefold().startswith(split)), splits[-1])
        raise DataError(
            f"{folder}: holds the splits {list_names(splits)}, not classes; "
            f"name one of them: {_command(folder / closest)}"
        )
    if not names and not links:
        return _label_by_word(folder, contents, cat_class)
    if links and (missing or all(labels)):
        raise DataError(
            f"{folder}: links to folders are not followed: {list_names(links)}; copy what they "
            f"lead to: {_command('cp', '-RL', folder, f'{folder.resolve()}-copy')}"
        )
    if not any(labels):
        _refuse_higher_folder(folder, contents["folder"], split, cat_class)
    if missing:
        raise DataError(
            f"{folder}: no sub-folder is called {' or '.join(missing)}; found {list_names(names)}; "
            "name the one that holds the cats with --cat-class, or sort the photos into two: "
            "cat and other"
        )
    classes = sorted(zip(contents["folder"], labels, strict=True), key=lambda pair: -pair[1])
    skipped = _count_skipped(contents)
    skipped["outside the class folders"] += len(contents["file"])
    files: list[LabelledFile] = []
    for class_folder, y in classes:
        files += _files_of_class(class_folder, y, cat_class, skipped)
    return {path.name: y for path, y in classes}, files, skipped


def _refuse_higher_folder(
    folder: Path, folders: list[Path], split: Split, cat_class: CatClass
) -> None:
    """Raise DataError, saying what to name, if the classes are not in a folder but further down."""
    path, below = folder, [one for one in folders if one.name.casefold() == "images"] or folders
    while len(below) == 1:
        path = below[0]
        contents = _sort_entries(path)
        below = contents["folder"] if not contents["link to a folder"] else []
    if path != folder:  # if it holds no classes either, the line tells of it
        classes = " and ".join(label_files(path, split, cat_class)[0])
        which = "only folder" if len(folders) == 1 else "folder of images"
        raise DataError(f"{folder}: its {which} holds {classes}: name {_command(path)}")
    holding = [str(path) for path in folders if _holds_classes(path, cat_class)]
    if holding:
        raise DataError(f"{folder}: its folders hold classes: name each: {list_names(holding)}")


def _holds_classes(folder: Path, cat_class: CatClass) -> bool:
    labels, _ = find_cats([path.name for path in _sort_entries(folder)["folder"]], cat_class)
    return any(labels) and not all(labels)


def _files_of_class(
    folder: Path, y: int, cat_class: CatClass, skipped: Counter[str]
) -> Iterator[LabelledFile]:
    """List the files in a class's folder and in the folders within it; count what is skipped."""
    contents = _sort_entries(folder)
    splits = [path for path in contents["folder"] if is_split(path.name)]
    if splits:
        target = Path(f"{folder.parent.resolve()}-sorted", splits[0].name)
        raise DataError(
            f"{folder}: a class that holds splits; expected splits that hold classes: "
            f"{_command('mkdir', '-p', target)}; "
            f"{_command('mv', splits[0], target / folder.name)}; and so on"
        )
    if _holds_classes(folder, cat_class):
        names = list_names([path.name for path in contents["folder"]])
        raise DataError(f"{folder}: a class that holds classes: {names}; name {_command(folder)}")
    skipped += _count_skipped(contents)
    for path in contents["file"]:
        yield LabelledFile(path, y, folder.name)
    for below in contents["folder"]:
        lower = _sort_entries(below)
        skipped += _count_skipped(lower)
        for path in lower["file"]:
            yield LabelledFile(path, y, folder.name, below.name)
        for deep in lower["folder"]:
            images = [path for path in walk_files(deep) if isinstance(path, Path)]
            skipped["more than a folder below its class"] += sum(map(meant_as_image, images))


def _label_by_word(folder: Path, contents: dict[str, list[Path]], cat_class: CatClass) -> Labelled:
    """Label images by the word that each name begins with, as cat.0.jpg and dog.0.jpg."""
    by_word: defaultdict[str, list[Path]] = defaultdict(list)
    for path in filter(meant_as_image, contents["file"]):
        letters = takewhile(str.isalpha, normalize("NFC", path.name))
        by_word["".join(letters).casefold()].append(path)
    images = sum(map(len, by_word.values()))
    if not images:
        raise DataError(f"{folder}: holds no folders; expected one sub-folder per class")
    if any(find_cats([folder.resolve().name], cat_class)[0]) and len(by_word) < 2:
        above = _command(folder.resolve().parent)
        raise DataError(f"{folder}: holds no folders, and is a class; name the one above: {above}")
    skipped = _count_skipped(contents)
    skipped["not an image"] = len(contents["file"]) - images
    skipped["named without a word"] = len(by_word.pop("", []))
    words = sorted(by_word)
    labels, missing = find_cats(words, cat_class)
    if missing or all(labels) or (len(words) > MOST_WORDS and not cat_class):
        others = f", none with {' or '.join(missing)}" if missing and words else ""
        option = "name those of cats, each with --cat-class, or " if len(words) > 1 else ""
        cat, other = folder / "cat", folder / "other"
        example = next(filter(meant_as_image, contents["file"]))
        raise DataError(
            f"{folder}: holds {images} images and no folders; their names begin with "
            f"{list_names(words) or 'no word'}{others}; {option}sort them into two folders: "
            f"{_command('mkdir', cat, other)}; {_command('mv', example, cat)}; and so on"
        )
    classes = dict(sorted(zip(words, labels, strict=True), key=lambda pair: -pair[1]))
    files = [LabelledFile(path, y, word) for word, y in classes.items() for path in by_word[word]]
    return classes, files, skipped


def list_names(names: Sequence[str]) -> str:
    """Join the first eight names, and say how many more there are."""
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def _command(*words: str | Path) -> str:
    return shlex.join(map(str, words))


def _sort_entries(folder: Path) -> defaultdict[str, list[Path]]:
    """List what is in a folder, by what it is."""
    by_kind = defaultdict(list)
    for path, kind in _entries(folder):
        by_kind[kind].append(path)
    return by_kind


def _count_skipped(contents: dict[str, list[Path]]) -> Counter[str]:
    return Counter(
        {kind: len(paths) for kind, paths in contents.items() if kind not in ("folder", "file")}
    )


def _entries(folder: Path) -> list[tuple[Path, str]]:
    """List a folder in a fixed order, each entry with what it is."""
    try:
        with os.scandir(folder) as entries:
            in_order = sorted(entries, key=lambda entry: os.fsencode(entry.name))
    except OSError as error:
        raise DataError(f"{folder}: the folder cannot be listed ({error.strerror})") from error
    return [(Path(entry.path), _kind(entry)) for entry in in_order]


def _kind(entry: os.DirEntry[str]) -> str:
    if entry.name.startswith(".") or entry.name in HIDDEN:
        return "hidden"
    try:
        if entry.is_dir():
            return "link to a folder" if entry.is_symlink() else "folder"
        is_file = entry.is_file()
    except OSError:  # links that lead round in a circle
        is_file = False
    # A link that leads nowhere, but has an image's name, is told of as an image that is not read.
    return "file" if is_file or meant_as_image(entry.name) else "not a regular file"


def meant_as_image(path: str | os.PathLike[str]) -> bool:
    """Tell by its name whether a file is meant to be an image; one that is not read is told of."""
    return os.path.splitext(path)[1].casefold() in IMAGE_SUFFIXES


def walk_files(folder: Path) -> Iterator[Path | DataError]:
    """List the files in a folder and all below it, but for hidden ones and links to folders.

    A folder that cannot be listed comes as the error that tells of it.
    """
    waiting = [(folder, "folder")]  # the next one last
    while waiting:
        path, kind = waiting.pop()
        if kind == "file":
            yield path
        elif kind == "folder":
            try:
                waiting += reversed(_entries(path))
            except DataError as error:
                yield error
