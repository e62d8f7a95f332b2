"""The network while it learns: its layers and heads in PyTorch, and its file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

LAYERS = "24 P 48 P 96 R P 144 R R 1x256"  # filters, P = 2x2 max pool, R = residual, 1x = 1x1
SCALE, SHIFT = 1 / 63.75, -2.0  # network input = SCALE * pixel + SHIFT, in [-2, 2]
DROP = 0.2


class Conv(nn.Module):
    """relu(batchnorm(conv(a)) [+ a])."""

    def __init__(self, c: int, n: int, k: int, residual: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(c, n, k, padding=k // 2, bias=False)
        self.norm = nn.BatchNorm2d(n)
        self.residual = residual

    def forward(self, a: Tensor) -> Tensor:
        z = self.norm(self.conv(a))
        return F.relu(z + a if self.residual else z, inplace=True)

    def folded(self) -> tuple[np.ndarray, np.ndarray]:
        """Return weight (k, k, c, n) and bias (n,) with the normalisation folded in."""
        g = self.norm.weight / torch.sqrt(self.norm.running_var + self.norm.eps)
        w = (self.conv.weight * g[:, None, None, None]).permute(2, 3, 1, 0)
        b = self.norm.bias - g * self.norm.running_mean
        return w.numpy().astype(np.float16), b.numpy().astype(np.float16)


class Network(nn.Module):
    """The feature map and its two heads."""

    def __init__(self, layers: str, components: int) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        c = 3
        for word in layers.split():
            if word == "P":
                blocks.append(nn.MaxPool2d(2))
                continue
            n = c if word == "R" else int(word.removeprefix("1x"))
            blocks.append(Conv(c, n, 1 if word.startswith("1x") else 3, word == "R"))
            c = n
        self.body = nn.Sequential(*blocks)
        self.cat, self.teacher = nn.Linear(c, 1), nn.Linear(c, components)

    def forward(self, a: Tensor) -> tuple[Tensor, Tensor]:
        """Return the cat logits (m,) and the teacher's components; bfloat16 only while training."""
        with torch.autocast("cpu", torch.bfloat16, enabled=self.training):
            last_map = self.body(a)
        x = F.dropout(last_map.float().mean((2, 3)), DROP, self.training)
        return self.cat(x).squeeze(1), self.teacher(x)


@torch.no_grad()
def start_from(net: Network, path: Path, views: Tensor) -> None:
    """Take a saved network's weights, so that `net` computes the same on these views."""
    with np.load(path, allow_pickle=False) as npz:
        for number, block in enumerate((b for b in net.body if isinstance(b, Conv)), 1):
            weight = torch.from_numpy(npz[f"conv{number}_weight"]).float().permute(3, 2, 0, 1)
            known = slice(len(weight))  # a wider layer's other filters stay random
            block.conv.weight[known] = weight
            block.norm.bias[known] = torch.from_numpy(npz[f"conv{number}_bias"]).float()
    a = views
    for block in net.body:
        if isinstance(block, Conv):
            variance, mean = torch.var_mean(block.conv(a), (0, 2, 3))
            length = len(mean) ** 0.5 / block.conv.weight.norm()  # what Muon keeps a weight at
            block.conv.weight.mul_(length)
            block.norm.weight.copy_((variance + block.norm.eps).sqrt())
            block.norm.bias.add_(mean)
            block.norm.running_mean.copy_(length * mean)
            block.norm.running_var.copy_(length**2 * variance)
            z = F.batch_norm(
                block.conv(a), None, None, block.norm.weight, block.norm.bias, training=True
            )
            a = F.relu(z + a if block.residual else z)
        else:
            a = block(a)


@torch.no_grad()
def save(net: Network, out: str, meta: dict) -> None:
    """Write OUT.npz: the folded convolutions in float16, the last neuron, and `meta`."""
    net.eval()
    arrays, layers = {}, []
    for block in net.body:
        if isinstance(block, Conv):
            name = f"conv{len(arrays) // 2 + 1}"
            layers.append({"op": "conv", "name": name, "residual": block.residual})
            arrays[f"{name}_weight"], arrays[f"{name}_bias"] = block.folded()
        else:
            layers.append({"op": "max_pool"})
    meta = {"layers": layers, "scale": SCALE, "shift": SHIFT, "n_x": net.cat.in_features, **meta}
    arrays |= {"cat_weight": net.cat.weight.numpy().T, "cat_bias": net.cat.bias.numpy()}
    np.savez(f"{out}.npz", meta=np.array(json.dumps(meta)), **arrays)


def mix(start: Path, out: str, share: float) -> None:
    """Replace OUT.npz's weights by a mean with those it started from, `share` of which are kept.

    On photos from elsewhere it is better than either (Wortsman et al. 2022, "Robust fine-tuning of
    zero-shot models").
    """
    with np.load(start) as first, np.load(f"{out}.npz") as last:
        arrays = {name: last[name] for name in last.files}
        for name in set(arrays) - {"meta"}:
            mean = share * first[name].astype(np.float64) + (1 - share) * arrays[name]
            arrays[name] = mean.astype(arrays[name].dtype)
    np.savez(f"{out}.npz", **arrays)
