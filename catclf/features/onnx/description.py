"""What catclf would do with a network, for a person who has one and trains nothing yet."""

from __future__ import annotations

import os
import time
from typing import Any

import numpy as np

from catclf.features.onnx import NORMALISATIONS, Onnx
from catclf.features.onnx.file import read_network
from catclf.features.onnx.network import Network
from catclf.features.views import cut_middle

USUAL_SIDE = 224
"""A network whose size is open is tried at this one."""
MOST_SECONDS, MOST_RUNS = 1.0, 10
"""The time is measured in so many runs at most, and none is begun after so many seconds."""


def describe_network(path: str) -> dict[str, Any]:
    """Load a network, run it, and give what `catclf show --json` prints of it.

    Raises
    ------
    ModelError
        If the network cannot be used, or there is no onnxruntime.
    """
    file = read_network(path)
    # What pixels are divided by changes neither shapes nor time.
    normalisation = NORMALISATIONS["unit"]
    network = Network(path, file, None, (USUAL_SIDE, USUAL_SIDE), normalisation)
    features = Onnx.of(network, file.sha256, normalisation)
    grey = np.full((1, *features.image_size, 3), 128, dtype=np.uint8)
    runs, start = 0, time.thread_time()
    while runs < MOST_RUNS and time.thread_time() - start < MOST_SECONDS:
        features.transform(grey)
        runs += 1
    milliseconds = (time.thread_time() - start) / runs * 1000
    output = network.run(cut_middle(grey[0], features.view))
    return {
        "network": os.path.abspath(path),
        "bytes": len(file.data) + sum(map(len, file.external_data.values())),
        "sha256": file.sha256,
        "input": network.input,
        "type": np.dtype(network.dtype).name,
        "layout": "NCHW" if network.channels_first else "NHWC",
        "size": None if network.open_size else list(features.view),
        "normalise": network.dtype != np.uint8,
        "output": network.output,
        "output_size": list(output.shape[:2]) if output.ndim == 3 else None,
        "n_x": features.n_x,
        "image_size": list(features.image_size),
        "milliseconds": milliseconds,
    }
