"""A network that onnxruntime has loaded: one image in, numbers out.

onnxruntime is an extra: it is imported here, when a network is loaded, and no sooner.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catclf.errors import ModelError
from catclf.features import onnx_file
from catclf.features.onnx_file import NetworkFile

Float32 = NDArray[np.float32]

LARGEST_SIDE = 2048
TYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
}


class Network:
    """A network that onnxruntime has loaded, and what its input and its output look like.

    Attributes
    ----------
    output : str
    size : (int, int)
        Height and width of the image that it takes.
    dtype : numpy type
        Of that image.
    """

    def __init__(self, name: str, found: NetworkFile, output: str | None) -> None:
        self.name = name
        self._session = _load(name, found, output)
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
        told = f"{name}: its input is {kind} {shape}"
        if kind not in TYPES or len(shape) != 4 or 3 not in (shape[1], shape[3]):
            raise ModelError(f"{told}; expected an RGB image, [1, 3, height, width] or the like")
        self.dtype = TYPES[kind]
        self._channels_first = shape[1] == 3
        sides = shape[2:] if self._channels_first else shape[1:3]
        if not all(isinstance(n, int) for n in sides):
            raise ModelError(f"{told}; export it with a fixed height and width")
        if not all(1 <= n <= LARGEST_SIDE for n in sides):
            raise ModelError(f"{told}; expected 1 to {LARGEST_SIDE} pixels a side")
        if isinstance(shape[0], int) and shape[0] != 1:
            raise ModelError(f"{told}; export it for one image at a time, or any number")
        self.size: tuple[int, int] = (sides[0], sides[1])

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
            (found,) = self._session.run([self.output], {self._input: x})
        except Exception as error:  # onnxruntime's own dozen
            raise ModelError(f"{self.name}: it cannot be run ({_reason(error)})") from error
        if not (isinstance(found, np.ndarray) and found.dtype.kind in "fiu"):
            raise ModelError(f"{self.name}: {self.output!r} holds no numbers; see --onnx-output")
        if found.ndim < 2 or found.shape[0] != 1:
            raise ModelError(
                f"{self.name}: {self.output!r} is {found.shape} for one image; expected "
                "(1, ...); see --onnx-output"
            )
        with np.errstate(over="ignore"):  # what is infinite then is told
            numbers: Float32 = found[0].astype(np.float32, copy=False)
        if numbers.ndim != 3:
            return numbers.ravel()
        # Space lies where it does in the input; but converters leave transposes about, and of a
        # square image the two sides are alike.
        a, b, c = numbers.shape
        square = self.size[0] == self.size[1]
        if b == c if square and (a == b) != (b == c) else self._channels_first:
            numbers = numbers.transpose(1, 2, 0)
        return numbers if numbers.shape[0] * numbers.shape[1] > 1 else numbers.ravel()


def _load(name: str, found: NetworkFile, output: str | None) -> Any:
    """Make a session of onnxruntime's: on one thread, quiet, with files and extensions of none."""
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
    if found.weights:
        names, contents = list(found.weights), list(found.weights.values())
        sizes = [len(content) for content in contents]
        options.add_external_initializers_from_files_in_memory(names, contents, sizes)

    data = found.data
    if output is not None:
        outputs, inner = onnx_file.tensors(data)
        if output not in outputs + inner:
            last = ", ".join(map(repr, inner[-5:]))
            raise ModelError(f"{name}: no tensor is called {output!r}; the last ones are {last}")
        if output not in outputs:
            data = onnx_file.with_output(data, output)
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
