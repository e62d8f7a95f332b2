"""Which arrays of an HDF5 file are images and labels, and what mends those stored otherwise.

All goes by names, shapes and types; nothing is read but the file's structure.
"""

from __future__ import annotations

import re
from contextlib import suppress
from math import isqrt, prod
from pathlib import Path

from catclf.common.hdf5 import Structure, StructureError
from catclf.common.hdf5.storage import ArrayInfo, describe_array
from catclf.data.dataset import Split
from catclf.errors import DataError

MOST_MEMBERS = 100
"""Of a file with more arrays, those of the course's names alone are looked at."""
LEAST_SIDE, MOST_SIDE = 8, 4096
"""The sides of images, in pixels; what is smaller is taken for none."""
AXES = {
    "mhwc": "x",
    "mchw": "x.transpose(0, 2, 3, 1)",
    "hwcm": "x.transpose(3, 0, 1, 2)",
    "cwhm": "x.T",
    "mhw": "x",
    "hwc": "x[None]",
    "hwm": "x.transpose(2, 0, 1)",
}
"""Orders of images, rows, columns and colours; the expression that puts images first."""
LAYERS = r"model_weights|top_level|layers|input_|conv|dense|block|batch_norm|flatten|lstm|embedding"
"""What names in a file of Keras begin with."""


def choose_keys(path: Path, structure: Structure, split: Split) -> tuple[str, str]:
    """Name the arrays of images and labels: those of the split, or of the other if it has none.

    Keys other than the course's are taken where a single array can be the images, and a single
    one their labels; `train` and `test` within a key tell the split, if anything does.

    Raises
    ------
    DataError
        If it is not clear which they are.
    """
    members = sorted(structure.members)
    other = "test" if split == "train" else "train"
    prefix = next((p for p in (split, other) if f"{p}_set_x" in members), split)
    if {f"{prefix}_set_x", f"{prefix}_set_y"} <= set(members):
        return f"{prefix}_set_x", f"{prefix}_set_y"
    arrays: dict[str, ArrayInfo] = {}
    for key in members[:MOST_MEMBERS]:
        with suppress(StructureError):
            arrays[key] = describe_array(structure, key)
    for wanted in (split, "", other) if len(members) <= MOST_MEMBERS else ():
        pool = {key: array for key, array in arrays.items() if _split_of(key) == wanted}
        pairs = [(x, y) for x in pool for y in pool if x != y and _match(pool[x], pool[y])]
        if len(pairs) == 1:
            return pairs[0]
        if any(len(array.shape) > 2 for array in pool.values()):
            break
    if not arrays and any(re.match(LAYERS, name) for name in members):
        raise DataError(
            f"{path}: a Keras network or its weights ({', '.join(map(repr, members[:3]))}), not a "
            "data set; export it as ONNX and take features from it: --features onnx:PATH"
        )
    images = [key for key, array in arrays.items() if len(array.shape) > 2]
    x = images[0] if len(images) == 1 else "IMAGES"
    y = f"f.move('LABELS', '{split}_set_y')" if [*arrays] != [x] else f"f['{split}_set_y'] = LABELS"
    keys = ", ".join(f"{key!r} {arrays.get(key, '(a group)')}" for key in members[:8]) or "nothing"
    raise DataError(
        f"{path}: holds {keys}; expected {split}_set_x and {split}_set_y; rename yours: "
        f"python -c \"import h5py; f = h5py.File({str(path)!r}, 'r+'); "
        f"f.move({x!r}, '{split}_set_x'); {y}\""
    )


def _split_of(key: str) -> str:
    return next((word for word in ("train", "test", "val") if word in key.casefold()), "")


def _match(x: ArrayInfo, y: ArrayInfo) -> bool:
    """Tell whether one array can be images, however stored, and the other their labels."""
    numbers = x.dtype[0] in "uifb" and y.dtype[0] in "uifb"
    return numbers and any(order_images(x.shape, m) for m in _counts(y.shape))


def _counts(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Say how many images labels of this shape may be for; one-hot ones are of either order."""
    is_list = prod(shape) == max(shape, default=0)
    return (prod(shape),) if is_list else shape if len(shape) == 2 else ()


def order_images(shape: tuple[int, ...], m: int) -> str:
    """Say how to put m images, x, in order: "x" if they are; nothing if they cannot be m images."""
    for axes, expression in AXES.items():
        sides = dict(zip(axes, shape, strict=False))
        if len(axes) != len(shape) or min(sides["h"], sides["w"]) < LEAST_SIDE:
            continue
        if sides.get("m", 1) == m > 0 and sides.get("c", 3) in (1, 3, 4):
            return "x[..., :3]" if axes == "mhwc" and sides["c"] == 4 else expression
    for flat, n in (("x", shape[1]), ("x.T", shape[0])) if len(shape) == 2 and m in shape else ():
        for colours, last in ((3, ", 3"), (1, "")):
            side = isqrt(n // colours)
            if n * m == prod(shape) == side**2 * colours * m and side >= LEAST_SIDE:
                return f"{flat}.reshape(-1, {side}, {side}{last})"
    return ""


def check_shapes(path: Path, x: str, y: str, images: ArrayInfo, labels: ArrayInfo) -> None:
    """Raise DataError, with what mends it, unless these are m images and m numbers."""
    shape = images.shape
    counts = (*_counts(labels.shape), *shape[:1], *shape[-1:])
    m, order = next(((n, how) for n in counts if (how := order_images(shape, n))), (0, ""))
    if order not in ("x", ""):
        raise DataError(f"{path}: {x} is {images}; expected (m, height, width, 3): store {order}")
    if not order or images.dtype[0] not in "uif" or max(shape[1:3]) > MOST_SIDE:
        raise DataError(
            f"{path}: {x} is {images}; expected uint8 (m, height, width, 3), {LEAST_SIDE} to "
            f"{MOST_SIDE} on a side, pixels from 0 to 255"
        )
    if _counts(labels.shape) == (m,) and labels.dtype[0] in "uifb":
        return
    mend = ""
    if labels.is_text:
        mend = "; store y == b'cat'"
    elif len(labels.shape) == 2 and m in labels.shape:
        mend = f"; if they are one-hot, store y.argmax({1 - labels.shape.index(m)})"
    raise DataError(f"{path}: {y} is {labels}; expected {m} numbers, 0 or 1{mend}")
