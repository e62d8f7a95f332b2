"""A network that onnxruntime runs: one RGB image in, numbers out, with or without places."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catclf.common.types import Float32
from catclf.errors import ModelError
from catclf.features.onnx.file import NetworkFile, with_output

Normalisation = tuple[tuple[float, ...], tuple[float, ...]]
"""Mean and scale of red, green and blue, of pixels from 0 to 255."""
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

    Where it leaves the height and width of the image open, they are `size`. What it sees of a pixel
    is (pixel - mean) / scale, or the pixel itself if it takes uint8.

    Attributes
    ----------
    name, input, output : str
        Its path, the name of the input, and that of the tensor.
    image_size : (int, int)
        Height and width of the image that it takes, in pixels.
    dtype : numpy type
        The type of that image.
    mean, scale : float32 (3,)
        Of red, green and blue, where it does not take uint8.
    channels_first : bool
        Whether it is laid out (3, height, width), not (height, width, 3).
    open_size : bool
        Whether the file leaves its height or width open.

    Raises
    ------
    ModelError
        If it does not load, or does not take one RGB image of a fixed size.
    """

    def __init__(
        self,
        name: str,
        file: NetworkFile,
        output: str | None,
        size: tuple[int, int] | None,
        normalisation: Normalisation,
    ) -> None:
        self.name = name
        self.mean, self.scale = np.array(normalisation, dtype=np.float32)
        self._session = load_session(name, file, output)
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
        self.input, kind, shape = inputs[0]
        problem = None
        # An axis that the file leaves open is no int; the one of channels then is the second.
        last = len(shape) == 4 and shape[3] == 3 and shape[1] != 3
        colours = len(shape) == 4 and (last or shape[1] == 3 or not isinstance(shape[1], int))
        if kind not in INPUT_TYPES or not colours:
            problem = "expected an RGB image, [1, 3, 224, 224] or the like"
        else:
            self.channels_first = not last
            sides = shape[1:3] if last else shape[2:]
            self.open_size = not all(isinstance(n, int) for n in sides)
            if size and self.open_size:
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

    def run(self, image: NDArray[np.uint8]) -> Float32:
        """Run the network on an image uint8 (height, width, 3).

        Returns
        -------
        float32 (height, width, n_x), or (n_x,)
            The first if the output has places.

        Raises
        ------
        ModelError
            If it cannot be run, or the output is not one of numbers for one image.
        """
        numbers = self.run_plain(image)
        last = self.has_places_last(numbers.shape)
        if last is None:
            return numbers.ravel()
        return numbers.transpose(1, 2, 0) if last else numbers

    def has_places_last(self, shape: tuple[int, ...]) -> bool | None:
        """Tell whether what an image gives has height and width last, not first; None if nowhere.

        Space lies where it does in the input; but converters leave transposes about, and of a
        square image the two sides are alike.
        """
        if len(shape) != 3:
            return None
        a, b, c = shape
        square = self.image_size[0] == self.image_size[1]
        last = b == c if square and (a == b) != (b == c) else self.channels_first
        return last if (b * c if last else a * b) > 1 else None

    def run_plain(self, image: NDArray[np.uint8]) -> Float32:
        """Run the network on an image, and give its output as it is laid out; see `run`."""
        colours = (3, 1, 1) if self.channels_first else (3,)
        image = image.transpose(2, 0, 1) if self.channels_first else image
        exact = np.uint8 if self.dtype == np.uint8 else np.float32
        x: NDArray[Any] = np.ascontiguousarray(image[None], dtype=exact)
        if exact != np.uint8:
            x -= self.mean.reshape(colours)
            x /= self.scale.reshape(colours)
            x = x.astype(self.dtype, copy=False)
        try:
            (output,) = self._session.run([self.output], {self.input: x})
        except Exception as error:  # onnxruntime's own dozen
            raise ModelError(f"{self.name}: it cannot be run ({_reason(error)})") from error
        if not (isinstance(output, np.ndarray) and output.dtype.kind in "fiu"):
            raise ModelError(f"{self.name}: {self.output!r} holds no numbers; see --onnx-output")
        if output.ndim < 2 or output.shape[0] != 1:
            raise ModelError(
                f"{self.name}: {self.output!r} is {output.shape} for one image; expected "
                "(1, ...); see --onnx-output"
            )
        with np.errstate(over="ignore"):  # `features` refuses what is infinite then
            numbers: Float32 = output[0].astype(np.float32, copy=False)
        return numbers

    def features(self, image: NDArray[np.uint8]) -> Float32:
        """Run the network on an image, and average what has places over them: float32 (n_x,).

        Raises
        ------
        ModelError
            If it cannot be run, or gives numbers that are not finite.
        """
        output = self.run(image)
        with np.errstate(over="ignore", invalid="ignore"):  # refused below
            x = output if output.ndim == 1 else output.mean(axis=(0, 1), dtype=np.float32)
        if not np.isfinite(x).all():
            raise ModelError(
                f"{self.name}: gives numbers that are not finite; is --onnx-normalise right?"
            )
        return x


def load_session(name: str, file: NetworkFile, output: str | None = None) -> Any:
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
