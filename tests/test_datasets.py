"""HDF5 files, class folders and the drawn set, each as a Dataset or one clear line."""

import hashlib
import os
from unicodedata import normalize

import h5py
import numpy as np
import pytest
from PIL import Image

from catclf.data.dataset import Dataset, join
from catclf.data.drawn import draw
from catclf.data.folders import walk_files
from catclf.data.load import COURSE_FILE, expand_pattern, load_dataset
from catclf.errors import DataError


def write_h5(path, prefix="train", **changes):
    """A small file of the course's layout, with changes; None leaves a key out."""
    images, labels = draw(6, seed=5)
    keys = {
        f"{prefix}_set_x": images,
        f"{prefix}_set_y": labels,
        "list_classes": np.array([b"non-cat", b"cat"]),
        **changes,
    }
    with h5py.File(path, "w") as file:
        for key, value in keys.items():
            if value is not None:
                file[key] = value
    return path, images, labels


@pytest.mark.parametrize("prefix", ["train", "test"])
@pytest.mark.parametrize("split", ["train", "test"])
def test_either_set_of_keys_is_read_for_either_use(tmp_path, prefix, split):
    path, images, labels = write_h5(tmp_path / "a.h5", prefix)
    data = load_dataset(path, split=split)
    np.testing.assert_array_equal(data.images, images)
    np.testing.assert_array_equal(data.Y, labels.reshape(1, -1))
    assert (data.Y.dtype, data.classes, data.label(3)) == (np.int64, ("non-cat", "cat"), "a.h5[3]")
    other = "test" if prefix == "train" else "train"
    others = {f"{other}_set_x": draw(4, seed=9)[0], f"{other}_set_y": [0, 1, 1, 0]}
    path, *_ = write_h5(tmp_path / "both.h5", prefix, **others)
    assert len(load_dataset(path, split=split)) == (6 if split == prefix else 4)


def test_class_names_default_and_cat_is_positive_by_name(tmp_path):
    path, _, labels = write_h5(tmp_path / "a.h5", list_classes=None)
    assert load_dataset(path).classes == ("non-cat", "cat")
    path, _, labels = write_h5(tmp_path / "b.h5", list_classes=np.array([b"Cat", b"dog"]))
    swapped = load_dataset(path)
    assert swapped.classes == ("dog", "Cat")
    np.testing.assert_array_equal(swapped.Y[0], 1 - labels)
    assert swapped.counts == {"dog": int(labels.sum()), "Cat": int((1 - labels).sum())}
    path, _, labels = write_h5(tmp_path / "c.h5", list_classes=np.array([b"puma", b"dog"]))
    np.testing.assert_array_equal(load_dataset(path, cat_class="PUMA").Y[0], 1 - labels)
    np.testing.assert_array_equal(load_dataset(path).Y[0], labels)
    with pytest.raises(DataError, match="lynx"):
        load_dataset(path, cat_class="lynx")
    for shape in ((1, 6), (6, 1)):  # labels may be a row or a column
        path, _, labels = write_h5(tmp_path / f"{shape}.h5")
        write_h5(path, train_set_y=labels.reshape(shape).astype(np.uint8))
        np.testing.assert_array_equal(load_dataset(path).Y[0], labels)


BAD_H5 = {
    "no images": ({"train_set_x": None}, "expected train_set_x"),
    "no labels": ({"train_set_y": None}, "expected train_set_x and train_set_y"),
    "floats": ({"train_set_x": np.ones((6, 64, 64, 3))}, r"float64.*from 0 to 1: .*\(255 \* x\)"),
    "floats from -1": ({"train_set_x": np.full((6, 64, 64, 3), -0.5)}, r"from -1 to 1: .*127\.5"),
    "numbers": ({"train_set_x": np.full((6, 64, 64, 3), 255)}, r"from 0 to 255: .* x\.round"),
    "great numbers": ({"train_set_x": np.full((6, 64, 64, 3), 256)}, "from 256 to 256; expected"),
    "pixels NaN": ({"train_set_x": np.full((6, 64, 64, 3), np.nan)}, "not finite"),
    "empty": ({"train_set_x": np.zeros((0, 64, 64, 3), np.uint8)}, "expected"),
    "too few labels": ({"train_set_y": np.array([0, 1])}, "6 numbers"),
    "labels NaN": ({"train_set_y": np.array([0, 1, np.nan, 0, 1, 0])}, "0 and 1 only"),
    "labels of text": ({"train_set_y": np.array([b"a"] * 6)}, "0 or 1"),
    "one name twice": ({"list_classes": np.array([b"a", b"a"])}, "different names"),
}


@pytest.mark.parametrize("name", BAD_H5)
def test_what_is_not_the_layout_is_named(tmp_path, name):
    changes, message = BAD_H5[name]
    path, *_ = write_h5(tmp_path / "a.h5", **changes)
    with pytest.raises(DataError, match=message) as caught:
        load_dataset(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


NO_DATA = {
    "none.h5": "no such file",
    "fifo": "not a regular file",
    "a" * 300: "it cannot be read",
}


def test_what_is_no_data_set_is_named(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    for name, message in NO_DATA.items():
        with pytest.raises(DataError, match=message):
            load_dataset(tmp_path / name)
    with pytest.raises(DataError, match="DATA is empty"):
        load_dataset("")


def test_a_folder_of_classes_is_read(class_folder):
    progress = []
    data = load_dataset(class_folder, progress=lambda *step: progress.append(step))
    assert len(data) == 12
    assert data.classes == ("non-cat", "cat")
    assert data.counts == {"non-cat": 6, "cat": 6}
    assert data.notes == ("cat: Cats (6)", "non-cat: dogs (6)")
    assert data.label(0).endswith("Cats/00.png") or data.label(0).endswith("Cats/01.png")
    images, labels = draw(12, seed=3)
    rows = [int(path[-6:-4]) for path in data.paths]
    np.testing.assert_array_equal(data.images, images[rows])  # 64 x 64 stays as it is
    np.testing.assert_array_equal(data.Y[0], labels[rows])
    assert progress[-1] == (12, 12)


def test_the_cat_class_can_be_named(class_folder):
    (class_folder / "Cats").rename(class_folder / "Tabby")
    with pytest.raises(DataError, match=r"found Tabby, dogs.*--cat-class"):
        load_dataset(class_folder)
    assert load_dataset(class_folder, cat_class="dogs").notes[0] == "cat: dogs (6)"
    with pytest.raises(DataError, match="lynx"):
        load_dataset(class_folder, cat_class="lynx")


TREES = {
    "a/cat/1, a/dog/1, readme.txt": "its only folder holds cat and dog: name {}/a",
    "a b/c/Cats/1, a b/c/dog/1, __MACOSX/a/._1": "only folder holds Cats and dog: name '{}/a b/c'",
    "images/cat.1, images/dog.1, labels/1": "its folder of images holds cat and dog: name {}/im",
    "a/cat.1, a/dog.1": "its only folder holds cat and dog: name {}/a",
    "a/train/cat/1, a/test/cat/1": "{}/a: holds the splits test, train, .*: {}/a/train$",
    "training_set/cat/1, test_set/cat/1": "splits test_set, training_set, .*: {}/training_set$",
    "train/cat.1, test1/1": "splits test1, train, not classes; name one of them: {}/train$",
    "Val/cat/1, testing/cat/1": "splits Val, testing, not classes; name one of them: {}/",
    "cat/1, dog/1, test/1": "a class of cats beside the splits test; .*: move {}/test elsewhere$",
    "cat/train/1, dog/train/1": (
        "{}/cat: a class that holds splits; .*: mkdir -p {}-sorted/train; "
        "mv {}/cat/train {}-sorted/train/cat; and so on"
    ),
    "cats/cat/1, cats/dog/1": "{}/cats: a class that holds classes: cat, dog; name {}/cats$",
    "cat/1, pets/cat/1, pets/dog/1": "{}/pets: a class that holds classes: cat, dog; name {}/pets$",
    "2023/cat/1, 2023/dog/1, 2024/cat/1, 2024/a/1": "hold classes: name each: {}/2023, {}/2024$",
    "100APPLE/1, 101APPLE/1": "{}: no sub-folder is called cat or cats; found 100APPLE, 101APPLE; ",
    "DCIM/100APPLE/1, DCIM/101APPLE/1": "{}/DCIM: no sub-folder is called cat .* found 100APPLE, ",
    "cat>dog, dog/1": "{}: links to folders are not followed: cat; .*: cp -RL {} {}-copy$",
    "cat/1, dog>cat": "{}: links to folders are not followed: dog; ",
    "1, 2": (
        "{}: holds 2 images and no folders; their names begin with no word; sort them into two "
        "folders: mkdir {}/cat {}/other; mv {}/1.png {}/cat; and so on$"
    ),
    "cat.1, cat.2": "2 images and no folders; their names begin with cat; sort them",
    "puma.1, dog.1": "begin with dog, puma, none with cat or cats; name .* --cat-class, or sort",
    "cat1, a1, b1, c1, d1, e1, f1, g1, h1, i1, j1": "begin with a, .* and 3 more; name those",
    "notes.txt": "{}: holds no folders; expected one sub-folder per class$",
    "": "{}: holds no folders; expected one sub-folder per class$",
    "cat/notes.txt, dog/.1": r"that can be read \(skipped: hidden \(1\), not an image \(1\)\)$",
}
"""What a folder holds, and the line that it is refused with; {} stands for its path."""

READ = {
    "Cat/1, Cat/2, dog/1": ["cat: Cat (2)", "non-cat: dog (1)"],
    "dog/a/1, dog/b/1, dog/b/2, dog/3, cat/1": [
        "cat: cat (1)",
        "non-cat: dog (4), in folders below: a (1), b (2)",
    ],
    "dog/a/b/c/1, dog/a/b/2, dog/1, cat/1, dog/.x/1, dog/a/__MACOSX/1, @eaDir/1": [
        "cat: cat (1)",
        "non-cat: dog (1)",
        "skipped: hidden (3), more than a folder below its class (2)",
    ],
    "cat.0, cat.1, dog.0": [
        "no folders: the word that a name begins with is the class",
        "cat: cat (2)",
        "non-cat: dog (1)",
    ],
    "cat_(1), Cats-12, CAT001, Dog_x, cow, 12, a.csv": [
        "no folders: the word that a name begins with is the class",
        "cat: cat (2)",
        "cat: cats (1)",
        "non-cat: cow (1)",
        "non-cat: dog (1)",
        "skipped: named without a word (1), not an image (1)",
    ],
}
"""What a folder holds, and what is said of how it was read."""


def make_tree(folder, names):
    """Make PNG files of these names, texts where they say so, and links to b called a: a>b."""
    for name in filter(None, names.split(", ")):
        if ">" in name:
            (folder / name.split(">")[0]).symlink_to(name.split(">")[1])
            continue
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix in (".txt", ".csv"):
            path.write_text("x")
        else:
            Image.new("RGB", (64, 64), "red").save(f"{path}.png")
    return folder


@pytest.mark.parametrize("names", TREES)
def test_a_folder_that_is_not_one_of_classes_is_told_what_to_do(tmp_path, names):
    (tmp_path / "w").mkdir()
    with pytest.raises(DataError, match=TREES[names].replace("{}", str(tmp_path / "w"))):
        load_dataset(make_tree(tmp_path / "w", names))


@pytest.mark.parametrize("names", READ)
def test_folders_as_people_keep_them(tmp_path, names):
    assert list(load_dataset(make_tree(tmp_path, names)).notes) == READ[names]


def test_the_split_that_is_wanted_is_named(tmp_path):
    make_tree(tmp_path, "train/cat/1, val/cat/1, Testing/cat/1")
    for split, name in (("train", "train"), ("test", "Testing")):
        with pytest.raises(DataError, match=f"name one of them: {tmp_path}/{name}$"):
            load_dataset(tmp_path, split=split)


@pytest.mark.parametrize("names", ["tabby/1, siamese/1, dog/1", "tabby.1, siamese.1, dog.1"])
def test_several_classes_may_be_cats(tmp_path, names):
    data = load_dataset(make_tree(tmp_path, names), cat_class=["Tabby", "siamese"])
    assert data.counts == {"non-cat": 1, "cat": 2}
    with pytest.raises(DataError, match="siames'"):
        load_dataset(tmp_path, cat_class=("tabby", "siames"))


def test_more_words_are_read_if_those_of_cats_are_named(tmp_path):
    make_tree(tmp_path, ", ".join(f"{letter}_1" for letter in "abcdefghijklm"))
    assert load_dataset(tmp_path, cat_class=["a", "B"]).counts == {"non-cat": 11, "cat": 2}


@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC")])
def test_names_are_compared_whatever_their_accents_are_made_of(tmp_path, forms):
    stored, typed = (normalize(form, "Chat dé") for form in forms)
    for name in (stored, "chien"):
        make_tree(tmp_path / name, "1")
    assert load_dataset(tmp_path, cat_class=typed.upper()).counts["cat"] == 1
    names = np.array([name.encode() for name in (stored, "chien")])
    path, _, labels = write_h5(tmp_path / "a.h5", list_classes=names)
    np.testing.assert_array_equal(load_dataset(path, cat_class=typed).Y[0], 1 - labels)


@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC")])
def test_data_is_found_whatever_the_accents_of_its_own_name_are_made_of(tmp_path, forms):
    stored, typed = (f"{tmp_path}/{normalize(form, 'Été')}" for form in forms)
    make_tree(tmp_path / stored, "cat_1, dog_1")
    assert load_dataset(typed).paths[0].startswith(stored)
    assert expand_pattern(typed) == [stored]
    assert expand_pattern(f"{typed}s") == [f"{typed}s"]


def test_an_address_is_told_to_be_saved_to_a_file_first():
    with pytest.raises(
        DataError, match=r"^HTTPS://x/\?a&b: nothing is fetched; .*: curl -LO 'HTTPS"
    ):
        load_dataset("HTTPS://x/?a&b")


def test_the_folder_of_one_class_is_told_to_name_the_one_above(tmp_path):
    make_tree(tmp_path / "w" / "Cat", "1, 2")
    with pytest.raises(DataError, match=f"is a class; name the one above: {tmp_path}/w$"):
        load_dataset(tmp_path / "w" / "Cat")


def test_patterns_stand_for_files_in_order(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("b.h5", "a.h5", "a[1].h5", ".c.h5"):
        (tmp_path / name).touch()
    assert expand_pattern("?.h5") == ["a.h5", "b.h5"]
    assert [expand_pattern(word) for word in ("a[1].h5", "no")] == [["a[1].h5"], ["no"]]
    with pytest.raises(DataError, match=r"^no\*: no file matches$"):
        expand_pattern("no*")
    with pytest.raises(DataError, match=r": curl -s -L 'http://x/\?a&b' \| catclf predict -; "):
        expand_pattern("http://x/?a&b")


def test_what_is_skipped_is_counted(class_folder):
    dogs = class_folder / "dogs"
    (dogs / ".DS_Store").write_bytes(b"x")
    (dogs / "notes.txt").write_text("x")
    (dogs / "link").symlink_to(class_folder / "Cats")
    os.mkfifo(dogs / "fifo")
    (class_folder / "README").write_text("x")
    (class_folder / ".git").mkdir()
    bad = dogs / "bad.png"
    bad.write_bytes((dogs / sorted(os.listdir(dogs))[1]).read_bytes()[:500])
    data = load_dataset(class_folder)
    assert len(data) == 12
    assert data.notes[2] == (
        "skipped: hidden (2), link to a folder (1), not a regular file (1), "
        "not an image (1), outside the class folders (1)"
    )
    assert data.notes[3].startswith(f"skipped {bad}: ")


def test_the_drawn_set_is_the_default_and_its_splits_differ(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("catclf.data.load.DRAWN_COUNT", 40)
    train, test = load_dataset(), load_dataset(split="test")
    assert train.name == test.name == "drawn"
    assert "catclf data fetch course" in train.notes[0]
    assert COURSE_FILE["test"] in test.notes[0]
    assert load_dataset("drawn").notes == ()
    assert load_dataset("drawn").sha256 == train.sha256 != test.sha256
    assert not {i.tobytes() for i in train.images} & {i.tobytes() for i in test.images}
    (tmp_path / "datasets").mkdir()
    _, images, _ = write_h5(tmp_path / COURSE_FILE["train"])
    np.testing.assert_array_equal(load_dataset().images, images)


def test_the_digest_covers_pixels_and_labels():
    images, labels = draw(4)
    digests = set()
    for changed, y in ((images, labels), (images[::-1], labels), (images, 1 - labels)):
        data = Dataset(changed, y.reshape(1, -1), ("non-cat", "cat"), "x")
        expected = hashlib.sha256(changed.tobytes() + bytes(y.tolist())).hexdigest()
        assert data.sha256 == expected
        digests.add(expected)
    assert len(digests) == 3


def test_walking_goes_all_the_way_down_in_order(tmp_path, monkeypatch):
    """A folder that cannot be listed does not hide the others."""
    for name in ("b/c/2.png", "b/1.png", "a.png", ".hidden/x.png", "b/.y.png", "d/1", "e/1"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "loop").symlink_to(tmp_path)
    listed = os.scandir

    def scandir(path):
        if str(path).endswith("d"):
            raise PermissionError(13, "Permission denied")
        return listed(path)

    monkeypatch.setattr(os, "scandir", scandir)
    found = [str(path).replace(f"{tmp_path}/", "") for path in walk_files(tmp_path)]
    refused = "d: the folder cannot be listed (Permission denied)"
    assert found == ["a.png", "b/1.png", "b/c/2.png", refused, "e/1"]


def test_a_data_set_refuses_what_is_none():
    images, labels = draw(4)
    Y = labels.reshape(1, -1)
    wrong_images = [(images / 255, Y), (images[:, :32], Y), (images[:3], Y)]
    for bad in (*wrong_images, (images, labels), (images, Y * 2)):
        with pytest.raises(DataError, match="expected"):
            Dataset(*bad, ("non-cat", "cat"), "x")


def test_joined_data_sets_keep_names_groups_and_order(tmp_path, class_folder):
    path, images, _ = write_h5(tmp_path / "a.h5", source=np.array([b"s", b"t"] * 3))
    first, second = load_dataset(path), load_dataset(class_folder)
    assert first.groups == ("s", "t") * 3
    both = join([first, second])
    np.testing.assert_array_equal(both.images[:6], images)
    assert both.name == "a.h5 + photos"
    assert both.label(1) == "a.h5[1]"
    assert both.label(6) == second.paths[0]
    assert both.groups[:6] == first.groups
    assert len(set(both.groups)) == 2 + 12
    folders = {str(class_folder / name) for name in ("Cats", "dogs")}
    assert set(second.grouped_by_folder().groups) == folders
    assert first.grouped_by_folder() is first  # its images have no files
    other = Dataset(first.images, first.Y, ("cat", "dog"), "other")
    with pytest.raises(DataError, match="cat and dog"):
        join([first, other])


@pytest.mark.parametrize(
    "stored",
    [
        {},
        {"chunks": (7, 64, 64, 3)},
        {"chunks": (7, 64, 64, 3), "compression": "gzip"},
        {"chunks": (100, 64, 64, 3), "maxshape": (100, 64, 64, 3), "compression": "gzip"},
        {"chunks": (7, 64, 64, 3), "compression": "gzip", "shuffle": True},
        {"chunks": (7, 64, 64, 3), "compression": "gzip", "fletcher32": True},
        {"chunks": (7, 64, 32, 3), "compression": "gzip"},
    ],
    ids=str,
)
def test_images_are_read_from_wherever_they_lie_in_the_file(tmp_path, monkeypatch, stored):
    monkeypatch.setattr("catclf.common.blocks.BLOCK_BYTES", 3 * 7 * 64 * 64 * 3)
    images = np.random.default_rng(0).integers(0, 256, (100, 64, 64, 3), dtype=np.uint8)
    images[20:40] = 0  # compresses to next to nothing
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("train_set_x", data=images, **stored)
        file["train_set_y"] = np.arange(100) % 2
    rest = load_dataset(tmp_path / "a.h5", memory=0).images
    assert not isinstance(rest, np.ndarray)
    for part in (slice(0, 100), slice(3, 4), slice(20, 23), slice(13, 64), slice(98, 100)):
        np.testing.assert_array_equal(rest[part], images[part])
    np.testing.assert_array_equal(load_dataset(tmp_path / "a.h5").images, images)


def test_a_folder_that_would_not_fit_is_refused_before_it_is_read(catclf, class_folder):
    size = 12 * 64 * 64 * 3
    data = load_dataset(class_folder, memory=size)
    assert (len(data), data.memory) == (12, size)
    steps = []
    with pytest.raises(DataError, match=r"12 images take 0.1475 MB of memory.*convert it"):
        load_dataset(class_folder, memory=size - 1, progress=lambda *step: steps.append(step))
    assert not steps
    for i in range(80):
        os.link(data.paths[-1], class_folder / "dogs" / f"more{i}.png")
    for command, split, megabytes in (("train", "train", 1.13), ("eval", "test", 1.225)):
        done = catclf(command, class_folder, "--memory", "1.1MB", code=3)
        assert done.stderr.splitlines()[-1] == (
            f"error: {class_folder}: 92 images take {megabytes} MB of memory, and 1.1 MB is for "
            f"data; convert it first: catclf data convert {class_folder} out.h5 --split {split}"
        )
    catclf("data", "convert", class_folder, "out.h5")
    quick = ("--iterations", 2, "--cv", 0, "--memory")
    catclf("train", "out.h5", *quick, "1.1MB")
    # Several folders are in memory one by one, and as a whole: 4.52 MB.
    done = catclf("train", class_folder, class_folder, *quick, "2.4MB", code=3)
    assert "92 images take 1.13 MB of memory, and 0.069" in done.stderr
    catclf("train", class_folder, class_folder, *quick, "4.6MB")


def test_what_is_available_limits_a_folder_too(class_folder, monkeypatch):
    size = 12 * 64 * 64 * 3
    monkeypatch.setattr("catclf.common.blocks.LITTLE", 0)
    monkeypatch.setattr("catclf.common.blocks.available", lambda: 2 * size)
    assert len(load_dataset(class_folder, memory=None)) == 12
    monkeypatch.setattr("catclf.common.blocks.available", lambda: 2 * size - 2)
    with pytest.raises(DataError, match="convert it first"):
        load_dataset(class_folder, memory=None)
