"""What any image network in an ONNX file makes of an image, run by onnxruntime.

The network is not copied into the model: that keeps its digest, its name and the place it was.
"""

from __future__ import annotations

import math
import os
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catclf.common.types import SMALL, Array, Float32
from catclf.errors import ModelError, ParameterError
from catclf.features.feature_map import FeatureMap
from catclf.features.onnx.file import read_network
from catclf.features.onnx.network import MAX_SIDE, Network, Normalisation
from catclf.features.views import cut_middle, overlay, resize

PATH_VARIABLE = "CATCLF_ONNX_PATH"
"""The environment variable that names a model's network, or the folder that it is in."""
MAX_FEATURES = 65_536
MAX_TEXT = 4000
"""The longest name or path that a model may have for its network, in characters."""
NORMALISATIONS: dict[str, Normalisation] = {
    "imagenet": ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
    "unit": ((0.0, 0.0, 0.0), (255.0, 255.0, 255.0)),
    "none": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
}
"""Those of ImageNet are as torchvision has them."""


def parse_normalisation(text: str) -> Normalisation:
    """Read what --onnx-normalise says: mean M and scale S of (pixel − M) / S, pixels 0 to 255.

    M and S are a number each, or three with commas between, for red, green and blue. Where an S is
    below 1 both are meant of pixels from 0 to 1.

    Raises
    ------
    ParameterError
        If it is none of the words, nor two numbers.
    """
    if text in NORMALISATIONS:
        return NORMALISATIONS[text]
    try:
        mean, scale = (
            tuple(map(float, part.split(","))) * (1 if "," in part else 3)
            for part in text.split("/")
        )
        finite = all(map(math.isfinite, mean + scale))
        if (len(mean), len(scale)) != (3, 3) or not finite or min(scale) <= 0:
            raise ValueError
    except ValueError:
        raise ParameterError(
            f"onnx-normalise is {', '.join(NORMALISATIONS)}, or a mean and a scale as 127/128, "
            f"not {text!r}"
        ) from None
    if min(scale) < 1:
        return tuple(255 * m for m in mean), tuple(255 * s for s in scale)
    return mean, scale


def image_size_for(view: tuple[int, int]) -> tuple[int, int]:
    """Give the size of the image whose middle three quarters have as many pixels as the network.

    One of 64 × 64 sees the whole alone, for data of this size has no more to show of its middle.
    """
    height, width = (n + 2 * round(n / 6) for n in view)
    return view if view == SMALL else (height, width)


class Onnx(FeatureMap):
    """Give the output of a network, flattened, or averaged over space where it has any.

    It is the mean over the whole image, reduced to the network's size, `view`, and its middle. An
    image of the network's size, as in models of earlier versions, is seen as a whole alone.
    Made by `Onnx.open` from a network, and by `Onnx.restore` from a model in the folder `folder`.
    """

    name = "onnx"
    symmetric = True  # nearly: networks learn from mirrored copies, so that ours add nothing

    def __init__(
        self, settings: dict[str, Any], folder: str = "", network: Network | None = None
    ) -> None:
        self._settings, self._folder, self._network = settings, folder, network
        self.image_size = tuple(settings["image_size"])
        self.view: tuple[int, int] = tuple(settings.get("view", self.image_size))
        self.n_x: int = settings["n_x"]
        self._lock = Lock()

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        normalise: str,
        output: str | None = None,
        size: int | None = None,
    ) -> Onnx:
        """Read a network and try it on a grey image, twice.

        Parameters
        ----------
        path : path
            An ONNX file with one input, of an RGB image.
        normalise : str
            What the network wants of pixels; see `parse_normalisation`.
        output : str, optional
            The tensor to take, an output or one within; the first output by default.
        size : int, optional
            Height and width of the image, in pixels, where the file leaves them open.

        Raises
        ------
        ParameterError
            If `normalise` makes no sense.
        ModelError
            If the network cannot be used, or there is no onnxruntime.
        """
        mean, scale = parse_normalisation(normalise)
        name = os.fspath(path)
        file = read_network(name)
        network = Network(name, file, output, (size, size) if size else None, (mean, scale))
        if size and network.image_size != (size, size):
            height, width = network.image_size
            raise ModelError(f"{name}: it takes {height} × {width} pixels: leave --onnx-size out")
        if network.dtype == np.uint8 and (mean, scale) != NORMALISATIONS["none"]:
            raise ModelError(f"{name}: it takes pixels as they are: --onnx-normalise none")
        return cls.of(network, file.sha256, (mean, scale))

    @classmethod
    def of(cls, network: Network, sha256: str, normalisation: Normalisation) -> Onnx:
        """Make the map of a network that is loaded, from a file of this digest; see `open`."""
        name = network.name
        grey = np.full((*network.image_size, 3), 128, dtype=np.uint8)
        once, again = network.features(grey), network.features(grey)
        if not np.allclose(once, again, rtol=1e-3, atol=1e-3 * float(np.abs(once).max(initial=0))):
            raise ModelError(
                f"{name}: gives other numbers each time for the same image; was it exported as "
                "in training? In PyTorch, .eval() comes first"
            )
        if not 1 <= len(once) <= MAX_FEATURES:
            raise ModelError(
                f"{name}: {network.output!r} has {len(once)} numbers an image, and at most "
                f"{MAX_FEATURES} are taken; choose another with --onnx-output"
            )
        settings = {
            "network": os.path.basename(name),
            "sha256": sha256,
            "path": os.path.abspath(name),
            "output": network.output,
            "image_size": list(image_size_for(network.image_size)),
            "view": list(network.image_size),
            "mean": list(normalisation[0]),
            "scale": list(normalisation[1]),
            "n_x": len(once),
        }
        return cls(settings, network=network)

    @classmethod
    def restore(
        cls, settings: dict[str, Any], arrays: dict[str, NDArray[Any]], folder: str = ""
    ) -> Onnx:
        """Make the map that a model was trained on; the network is looked for when it is needed.

        Raises
        ------
        KeyError, TypeError, ValueError
            If the settings are not such as `open` gives.
        """
        texts = [settings[key] for key in ("network", "sha256", "path", "output")]
        if not all(isinstance(text, str) and len(text) <= MAX_TEXT for text in texts):
            raise ValueError("a name of its network that is none")
        sides, n_x = settings["image_size"], settings["n_x"]
        view = settings.get("view", sides)
        if len(view) != 2 or not all(type(n) is int and 1 <= n <= MAX_SIDE for n in view):
            raise ValueError("images of no size")
        seen = tuple(view), image_size_for(tuple(view))
        if tuple(sides) not in seen or not all(type(n) is int for n in sides):
            raise ValueError("images of another size than its network")
        if type(n_x) is not int or not 1 <= n_x <= MAX_FEATURES:
            raise ValueError("a number of features that is none")
        mean, scale = settings["mean"], settings["scale"]
        typed = all(type(v) is list and [type(n) for n in v] == [float] * 3 for v in (mean, scale))
        if not typed or min(scale) <= 0:
            raise ValueError("a normalisation that is none")
        return cls(settings, folder)

    def settings(self) -> dict[str, Any]:
        return self._settings

    def transform(self, images: NDArray[np.uint8]) -> Float32:
        """Turn images uint8 (m, height, width, 3) into X float32 (n_x, m).

        Each view is a run of its own, on one thread; several threads may call this at a time.

        Raises
        ------
        ModelError
            If the network is not found, or fails, or gives numbers that are not finite.
        """
        X, network = np.empty((self.n_x, len(images)), dtype=np.float32), self.find_network()
        for i, image in enumerate(images):
            rows = [network.features(view) for view in self._cut_views(image)]
            if any(len(x) != self.n_x for x in rows):
                n = len(rows[0])
                raise ModelError(f"{network.name}: gives {n} numbers an image, not {self.n_x}")
            X[:, i] = np.mean(rows, axis=0)
        return X

    def _cut_views(self, image: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
        """Cut what the network sees: the whole, and the middle if that is another view."""
        # Pillow's sums take 1.2 ms where a product of matrices, as in `conv`, takes 4.
        whole = resize(image, self.view)
        return [whole] if whole is image else [whole, cut_middle(image, self.view)]

    def shares(self, image: NDArray[np.uint8], w: Array) -> Array:
        """Divide wᵀx among the positions of the outputs, on one grid: the class activation map.

        A position of the whole covers 8 × 8 of the grid, one of the middle 6 × 6.

        Raises
        ------
        ModelError
            If the output has no height and width.
        """
        network = self.find_network()
        outputs = [network.run(view) for view in self._cut_views(image)]
        if outputs[0].ndim != 3:
            raise ModelError(
                f"{network.name}: {network.output!r} says nothing of places, so that there "
                "is nothing to explain; train with an output that has height and width, by "
                "--onnx-output"
            )
        height, width, _ = outputs[0].shape
        places = height * width * len(outputs)
        shares = [(output.astype(np.float64) @ w)[:, :, 0] / places for output in outputs]
        return shares[0] if len(shares) == 1 else overlay(shares[0], shares[1], (8, 6))

    def find_network(self) -> Network:
        """Open, once, the network that the model names."""
        with self._lock:
            if self._network is None:
                self._network = self._open_network()
            return self._network

    def _open_network(self) -> Network:
        """Look for the network where it was, beside the model, and where the environment says."""
        settings = self._settings
        named = os.environ.get(PATH_VARIABLE, "")
        wanted = f"{settings['network']} with SHA-256 {settings['sha256'][:16]}..."
        other = ""
        for path in (
            settings["path"],
            os.path.join(self._folder, settings["network"]),
            os.path.join(named, settings["network"]) if os.path.isdir(named) else named,
        ):
            # A path with two slashes in front is another machine's on Windows, to be asked for it.
            if path.startswith(("//", "\\\\")) or not os.path.isfile(path):
                continue
            file = read_network(path)
            if file.sha256 == settings["sha256"]:
                normalisation = settings["mean"], settings["scale"]
                network = Network(path, file, settings["output"], self.view, normalisation)
                if network.image_size != self.view:
                    raise ModelError(f"{path}: it takes images of another size than the model says")
                return network
            other = other or path
        if other:
            raise ModelError(f"{other}: not the network of the model, which is {wanted}")
        also = f" nor at {named}" if named else ""
        raise ModelError(
            f"the model's network, {wanted}, is neither at {settings['path']} nor beside the "
            f"model{also}; set {PATH_VARIABLE} to where it is"
        )
