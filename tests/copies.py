"""An image again, as it turns up in collections: changed by what people and programs do."""

import io

import numpy as np
from PIL import Image


def recompressed(image, quality=75):
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def resized(image, side):
    there = Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC)
    return np.asarray(there.resize((64, 64), Image.Resampling.BICUBIC))


COPIES = {
    "exact": lambda image: image,
    "mirrored": lambda image: image[:, ::-1],
    "recompressed": recompressed,
    "enlarged and shrunk": lambda image: resized(image, 150),
    "shrunk and enlarged": lambda image: resized(image, 48),
    "mirrored and recompressed": lambda image: recompressed(image[:, ::-1]),
    "brighter": lambda image: (image * 0.8 + 40).astype(np.uint8),
}
