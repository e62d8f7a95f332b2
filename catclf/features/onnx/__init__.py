"""What any image network in an ONNX file makes of an image, run by onnxruntime.

The network is not copied into the model: that keeps its digest, its name and the place it was.
"""

from __future__ import annotations

import math
import os
import re
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catclf.common.types import Array, Float32
from catclf.errors import ModelError, ParameterError
from catclf.features.feature_map import FeatureMap
from catclf.features.onnx.file import NetworkFile, read_network, with_output

PATH_VARIABLE = "CATCLF_ONNX_PATH"
"""The environment variable that names a model's network, or the folder that it is in."""
MAX_FEATURES = 65_536
MAX_TEXT = 4000
"""The longest name or path that a model may have for its network, in characters."""
NORMALISATIONS: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "imagenet": ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
    "unit": ((0.0, 0.0, 0.0), (255.0, 255.0, 255.0)),
    "none": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
}
"""Mean and scale of red, green and blue, of pixels from 0 to 255; those of ImageNet as torchvision
has them."""


def parse_normalisation(text: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
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


class Onnx(FeatureMap):
    """Give the output of a network, flattened, or averaged over space where it has any.

    Made by `Onnx.open` from a network, and by `Onnx.restore` from a model in the folder `folder`.
    """

    name = "onnx"
    symmetric = True  # nearly: networks learn from mirrored copies, so that ours add nothing

    def __init__(
        self, settings: dict[str, Any], folder: str = "", network: Network | None = None
    ) -> None:
        self._settings, self._folder, self._network = settings, folder, network
        height, width = settings["image_size"]
        self.image_size: tuple[int, int] = (height, width)
        self.n_x: int = settings["n_x"]
        self._mean = np.array(settings["mean"], dtype=np.float32)
        self._scale = np.array(settings["scale"], dtype=np.float32)
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
        network = Network(name, file, output, (size, size) if size else None)
        if size and network.image_size != (size, size):
            height, width = network.image_size
            raise ModelError(f"{name}: it takes {height} × {width} pixels: leave --onnx-size out")
        if network.dtype == np.uint8 and (mean, scale) != NORMALISATIONS["none"]:
            raise ModelError(f"{name}: it takes pixels as they are: --onnx-normalise none")
        settings = {
            "network": os.path.basename(name),
            "sha256": file.sha256,
            "path": os.path.abspath(name),
            "output": network.output,
            "image_size": list(network.image_size),
            "mean": list(mean),
            "scale": list(scale),
            "n_x": 0,
        }
        feature_map = cls(settings, network=network)
        grey = np.full((*network.image_size, 3), 128, dtype=np.uint8)
        once, again = feature_map._features(grey), feature_map._features(grey)
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
        settings["n_x"] = feature_map.n_x = len(once)
        return feature_map

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
        if len(sides) != 2 or not all(type(n) is int and 1 <= n <= MAX_SIDE for n in sides):
            raise ValueError("images of no size")
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

        Each image is a run of its own, on one thread; several threads may call this at a time.

        Raises
        ------
        ModelError
            If the network is not found, or fails, or gives numbers that are not finite.
        """
        X = np.empty((self.n_x, len(images)), dtype=np.float32)
        for i in range(len(images)):
            x = self._features(images[i])
            if x.shape != (self.n_x,):
                name = self._find_network().name
                raise ModelError(f"{name}: gives {len(x)} numbers an image, not {self.n_x}")
            X[:, i] = x
        return X

    def shares(self, image: NDArray[np.uint8], w: Array) -> Array:
        """Divide wᵀx among the positions of the output: the class activation map.

        Raises
        ------
        ModelError
            If the output has no height and width.
        """
        network = self._find_network()
        output = network.run(image, self._mean, self._scale)
        if output.ndim != 3:
            raise ModelError(
                f"{network.name}: {network.output!r} says nothing of places, so that there "
                "is nothing to explain; train with an output that has height and width, by "
                "--onnx-output"
            )
        height, width, _ = output.shape
        shares: Array = (output.astype(np.float64) @ w)[:, :, 0] / (height * width)
        return shares

    def _features(self, image: NDArray[np.uint8]) -> Float32:
        network = self._find_network()
        output = network.run(image, self._mean, self._scale)
        with np.errstate(over="ignore", invalid="ignore"):  # refused below
            x = output if output.ndim == 1 else output.mean(axis=(0, 1), dtype=np.float32)
        if not np.isfinite(x).all():
            raise ModelError(
                f"{network.name}: gives numbers that are not finite; is --onnx-normalise right?"
            )
        return x

    def _find_network(self) -> Network:
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
                network = Network(path, file, settings["output"], self.image_size)
                if list(network.image_size) != settings["image_size"]:
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


MAX_SIDE = 2048
"""The largest height or width of an image, in pixels."""
INPUT_TYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
}


class Network:
    """A network that onnxruntime has loaded, to take a tensor of: by default its first output.

    Where it leaves the height and width of the image open, they are `size`.

    Attributes
    ----------
    name, output : str
        Its path, and the name of the tensor.
    image_size : (int, int)
        Height and width of the image that it takes, in pixels.
    dtype : numpy type
        The type of that image.

    Raises
    ------
    ModelError
        If it does not load, or does not take one RGB image of a fixed size.
    """

    def __init__(
        self, name: str, file: NetworkFile, output: str | None, size: tuple[int, int] | None = None
    ) -> None:
        self.name = name
        self._session = _load(name, file, output)
        try:
            inputs = [(one.name, one.type, one.shape) for one in self._session.get_inputs()]
            outputs = [one.name for one in self._session.get_outputs()]
        except UnicodeDecodeError as error:
            raise ModelError(f"{name}: names that are no text ({error})") from error
        if len(inputs) != 1:
            names = ", ".join(repr(one[0]) for one in inputs[:8])
            raise ModelError(f"{name}: it has the inputs {names or 'none'}; expected one, an image")
        if not outputs:
            raise ModelError(f"{name}: it has no output")
        self.output = output or outputs[0]
        self._input, kind, shape = inputs[0]
        problem = None
        # An axis that the file leaves open is no int; the one of channels then is the second.
        last = len(shape) == 4 and shape[3] == 3 and shape[1] != 3
        colours = len(shape) == 4 and (last or shape[1] == 3 or not isinstance(shape[1], int))
        if kind not in INPUT_TYPES or not colours:
            problem = "expected an RGB image, [1, 3, 224, 224] or the like"
        else:
            self._channels_first = not last
            sides = shape[1:3] if last else shape[2:]
            if size and not all(isinstance(n, int) for n in sides):
                sides = size
            if not all(isinstance(n, int) for n in sides):
                problem = "its size is left open: name the one that it learned at: --onnx-size 224"
            elif not all(1 <= n <= MAX_SIDE for n in sides):
                problem = f"expected 1 to {MAX_SIDE} pixels a side"
            elif isinstance(shape[0], int) and shape[0] != 1:
                problem = "export it for one image at a time, or any number"
        if problem:
            raise ModelError(f"{name}: its input is {kind} {shape}; {problem}")
        self.dtype = INPUT_TYPES[kind]
        self.image_size: tuple[int, int] = (sides[0], sides[1])

    def run(self, image: NDArray[np.uint8], mean: Float32, scale: Float32) -> Float32:
        """Run the network on (image - mean) / scale.

        Parameters
        ----------
        image : uint8 (height, width, 3)
        mean, scale : float32 (3,)
            Of red, green and blue; a network that takes uint8 gets the image as it is.

        Returns
        -------
        float32 (height, width, n_x), or (n_x,)
            The first if the output has places.

        Raises
        ------
        ModelError
            If it cannot be run, or the output is not one of numbers for one image.
        """
        colours = (3, 1, 1) if self._channels_first else (3,)
        image = image.transpose(2, 0, 1) if self._channels_first else image
        x: NDArray[Any] = np.ascontiguousarray(image[None])
        if self.dtype != np.uint8:
            x = x.astype(np.float32)
            x -= mean.reshape(colours)
            x /= scale.reshape(colours)
            x = x.astype(self.dtype, copy=False)
        try:
            (output,) = self._session.run([self.output], {self._input: x})
        except Exception as error:  # onnxruntime's own dozen
            raise ModelError(f"{self.name}: it cannot be run ({_reason(error)})") from error
        if not (isinstance(output, np.ndarray) and output.dtype.kind in "fiu"):
            raise ModelError(f"{self.name}: {self.output!r} holds no numbers; see --onnx-output")
        if output.ndim < 2 or output.shape[0] != 1:
            raise ModelError(
                f"{self.name}: {self.output!r} is {output.shape} for one image; expected "
                "(1, ...); see --onnx-output"
            )
        with np.errstate(over="ignore"):  # the map refuses what is infinite then
            numbers: Float32 = output[0].astype(np.float32, copy=False)
        if numbers.ndim != 3:
            return numbers.ravel()
        # Space lies where it does in the input; but converters leave transposes about, and of a
        # square image the two sides are alike.
        a, b, c = numbers.shape
        square = self.image_size[0] == self.image_size[1]
        if b == c if square and (a == b) != (b == c) else self._channels_first:
            numbers = numbers.transpose(1, 2, 0)
        return numbers if numbers.shape[0] * numbers.shape[1] > 1 else numbers.ravel()


def _load(name: str, file: NetworkFile, output: str | None) -> Any:
    """Make a session of onnxruntime's: on one thread, quiet, without files and extensions."""
    try:
        import onnxruntime
    except ImportError:
        raise ModelError(
            "features of an ONNX network need onnxruntime: pip install 'catclf[onnx]'"
        ) from None
    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what it would print is raised, too
    options.add_session_config_entry("session.load_model_format", "ONNX")
    if file.external_data:
        names, contents = list(file.external_data), list(file.external_data.values())
        sizes = [len(content) for content in contents]
        options.add_external_initializers_from_files_in_memory(names, contents, sizes)
    data = file.data if output is None else with_output(name, file.data, output)
    try:
        # A fallback would begin by printing what went wrong.
        return onnxruntime.InferenceSession(
            data, options, providers=["CPUExecutionProvider"], enable_fallback=False
        )
    except Exception as error:  # onnxruntime's own dozen
        raise ModelError(f"{name}: onnxruntime does not load it ({_reason(error)})") from error


def _reason(error: Exception) -> str:
    """Give what onnxruntime says, in one line, without the place in its own source."""
    text = " ".join(str(error).split()) or type(error).__name__
    text = re.sub(r"\[ONNXRuntimeError\] : \d+ : \w+ : ", "", text)
    text = re.sub(r"/\S*onnxruntime_src/\S* (?:\w+ )?\S*::\S*\(.*?\)(?: const)? ", "", text)
    return text if len(text) <= 200 else f"{text[:200]}..."
