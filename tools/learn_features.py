"""Learn the small convolutional network whose last layer's input serves as features.

Data: `photos_train.h5` (uint8 64x64 photos, label, source) and the folder `photos_more`
(64x64 JPEGs in `cat/` and `non-cat/`, the kind in the name, as `objects_watch_001.jpg`).
Held out, for honest figures: whole sources, whole kinds of object and a random share;
the course's 209 training images are only measured.

Network: 3x3 convolutions with batch normalisation and ReLU, some with a residual add,
2x2 max pooling, one 1x1 convolution, the mean over positions.  Two heads read the mean:
cat or not (logistic regression) and, as a help only, the kind of thing.
Schedule: bfloat16 products; Muon for the convolutions, AdamW for the rest; rates rise for
a tenth of the time, then fall as a cosine; photos of no pet are seen twice an epoch; the
weights' moving average is kept.  Augmentation: as in `augment`, and, but for the final
tenth of the time, erased boxes and boxes exchanged between photos (CutMix).

    python tools/learn_features.py --epochs 60 --seed 1 --out features
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path

import h5py
import numpy as np
import torch
import torch.nn.functional as F
from photo_sets import HOLD_KINDS, HOLD_SHARE, HOLD_SOURCES, Photos, load, split
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

LAYERS = "24 P 48 P 96 R P 144 R R 1x256"  # filters, P = 2x2 max pool, R = residual, 1x = 1x1
SCALE, SHIFT = 1 / 63.75, -2.0  # network input = SCALE * pixel + SHIFT, in [-2, 2]
BATCH, DECAY, AVERAGE = 128, 0.05, 0.998
PEAK_RATES = (0.04, 3e-3, 3e-3)  # of the convolutions, the heads, the normalisation
SMOOTHING, KIND_SHARE, DROP, CUT_MIX = 0.06, 0.5, 0.2, 0.2


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

    def __init__(self, layers: str, kinds: int) -> None:
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
        self.cat, self.kinds = nn.Linear(c, 1), nn.Linear(c, kinds)

    def forward(self, a: Tensor) -> tuple[Tensor, Tensor]:
        """Return the cat logits (m,) and the kinds' logits; bfloat16 only while training."""
        with torch.autocast("cpu", torch.bfloat16, enabled=self.training):
            last_map = self.body(a)
        x = F.dropout(last_map.float().mean((2, 3)), DROP, self.training)
        return self.cat(x).squeeze(1), self.kinds(x)


def augment(pixels: Tensor, erase: bool) -> Tensor:
    """Return network input (m, 3, 64, 64) of uint8 (m, 64, 64, 3), each photo changed."""
    m = len(pixels)
    a = pixels.permute(0, 3, 1, 2).contiguous().float().div_(255)
    zoom = torch.empty(m).uniform_(-0.40, 0.16).exp()  # one resampling does all the geometry
    aspect = torch.empty(m).uniform_(-0.16, 0.16).exp()
    angle = torch.randn(m) * 0.14
    mirror = (torch.rand(m) < 0.5).float() * 2 - 1
    theta = torch.zeros(m, 2, 3)
    theta[:, 0, 0], theta[:, 0, 1] = mirror * zoom * aspect * angle.cos(), -zoom * angle.sin()
    theta[:, 1, 0], theta[:, 1, 1] = mirror * zoom * angle.sin(), zoom / aspect * angle.cos()
    theta[:, :, 2] = torch.empty(m, 2).uniform_(-1, 1) * ((1 - zoom).abs() + 0.10)[:, None]
    grid = F.affine_grid(theta, [m, 3, 64, 64], align_corners=False)
    a = F.grid_sample(a, grid, padding_mode="reflection", align_corners=False)
    pick = torch.rand(m) < 0.10  # blur: half the resolution and back
    a[pick] = F.interpolate(F.avg_pool2d(a[pick], 2), scale_factor=2, mode="bilinear")
    saturation = torch.empty(m).uniform_(0.6, 1.4) * (torch.rand(m) > 0.08)  # 0 = grey
    a = torch.lerp(a.mean(1, keepdim=True), a, saturation[:, None, None, None])
    a *= 1 + torch.empty(m, 3, 1, 1).uniform_(-0.08, 0.08)  # colour cast
    contrast = torch.empty(m, 1, 1, 1).uniform_(-0.3, 0.3).exp()
    a = torch.lerp(a.mean((1, 2, 3), keepdim=True), a, contrast)
    a = (a + torch.empty(m, 1, 1, 1).uniform_(-0.15, 0.15)).clamp_(0, 1)
    if erase:
        for i in (torch.rand(m) < 0.25).nonzero().ravel().tolist():
            side = np.random.randint(12, 33)
            top, left = np.random.randint(0, 65 - side, 2)
            a[i, :, top : top + side, left : left + side] = torch.rand(3, 1, 1)
    return (a * (255 * SCALE) + SHIFT).contiguous(memory_format=torch.channels_last)


def cut_mix(a: Tensor) -> tuple[Tensor, float]:
    """Paste a box of each photo's partner in place; return the partners and the own share."""
    order = torch.randperm(len(a))
    side = int(64 * math.sqrt(np.random.uniform(0.01, 0.5)))
    top, left = np.random.randint(0, 65 - side, 2)
    box = (slice(None), slice(None), slice(top, top + side), slice(left, left + side))
    a[box] = a[order][box]
    return order, 1 - side**2 / 4096


def loss_of(outputs: tuple[Tensor, Tensor], y: Tensor, kind: Tensor) -> Tensor:
    """Return both heads' mean smoothed cross-entropy in nats; kind -100 (unknown) counts 0."""
    cat = F.binary_cross_entropy_with_logits(outputs[0], y * (1 - SMOOTHING) + SMOOTHING / 2)
    return cat + KIND_SHARE * F.cross_entropy(outputs[1], kind, label_smoothing=SMOOTHING)


class Muon(torch.optim.Optimizer):
    """Steps along orthogonal matrices (Jordan 2024); the rate is relative to a weight's length."""

    @torch.no_grad()
    def step(self) -> None:
        """Move every weight once."""
        for w in self.param_groups[0]["params"]:
            momentum = self.state[w].setdefault("momentum", torch.zeros_like(w.grad))
            momentum.lerp_(w.grad, 0.1)
            g = w.grad.lerp(momentum, 0.9).flatten(1).bfloat16()
            g = g / (g.norm() + 1e-7)
            tall = len(g) > g.shape[1]
            g = g.T if tall else g
            for _ in range(4):  # Newton and Schulz: singular values towards 1
                s = g @ g.T
                g = 3.4445 * g + (-4.7750 * s + 2.0315 * s @ s) @ g
            g = (g.T if tall else g).float().view(w.shape)
            w.mul_(len(w) ** 0.5 / w.norm()).sub_(g, alpha=self.param_groups[0]["lr"])


def learn(photos: Photos, part: np.ndarray, epochs: int, checkpoint: str) -> Network:
    """Train and return the moving average of the network."""
    train = np.flatnonzero(part == "train")
    names = sorted(set(photos.kind[train].tolist()) - {"other"})
    kind = torch.tensor([names.index(k) if k in names else -100 for k in photos.kind])
    x, y = torch.from_numpy(photos.x), torch.from_numpy(photos.y).float()
    seen = np.concatenate([train, train[~np.isin(photos.kind[train], ("cat", "dog"))]])
    steps = len(seen) // BATCH
    net = Network(LAYERS, len(names)).to(memory_format=torch.channels_last)
    convs = [p for p in net.parameters() if p.ndim == 4]
    heads = {"params": [p for p in net.parameters() if p.ndim == 2], "weight_decay": DECAY}
    rest = {"params": [p for p in net.parameters() if p.ndim == 1], "weight_decay": 0.0}
    muon, adam = Muon(convs, {"lr": 0.0}), torch.optim.AdamW([heads, rest])
    average = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(AVERAGE), use_buffers=True)
    for epoch in range(epochs):
        net.train()
        total, final = 0.0, epoch >= 0.9 * epochs
        order = np.random.permutation(seen)[: steps * BATCH].reshape(-1, BATCH)
        for i, rows in enumerate(map(torch.from_numpy, order)):
            done = (epoch + i / steps) / epochs
            rate = min(done / 0.1, 0.5 + 0.5 * math.cos(math.pi * max(0, done - 0.1) / 0.9))
            for group, peak in zip(muon.param_groups + adam.param_groups, PEAK_RATES, strict=False):
                group["lr"] = rate * peak
            a = augment(x[rows], erase=not final)
            mix = not final and np.random.random() < CUT_MIX
            partner, own = cut_mix(a) if mix else (None, 1.0)
            outputs = net(a)
            loss = own * loss_of(outputs, y[rows], kind[rows])
            if mix:
                loss += (1 - own) * loss_of(outputs, y[rows[partner]], kind[rows[partner]])
            net.zero_grad()
            loss.backward()
            adam.step()
            muon.step()
            average.update_parameters(net)
            total += loss.item()
        print(f"epoch {epoch + 1} loss {total / steps:.4f}", flush=True)
        torch.save(average.module.state_dict(), checkpoint)
    return average.module


@torch.no_grad()
def probabilities(net: Network, x: np.ndarray) -> np.ndarray:
    """Return the chance of a cat, from the mean logit of each uint8 image and its mirror."""
    net.eval()
    z = []
    for start in range(0, len(x), 256):
        a = torch.from_numpy(x[start : start + 256]).permute(0, 3, 1, 2) * SCALE + SHIFT
        z.append((net(a)[0] + net(a.flip(3))[0]) / 2)
    return torch.sigmoid(torch.cat(z)).double().numpy()


def figures(p: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """Return accuracy, recall and false alarms at one half, AUC and ECE (10 bins)."""
    cats, rest = p[y == 1], p[y == 0]
    ece = sum(abs((p - y)[(p * 10).astype(int).clip(0, 9) == b].sum()) for b in range(10)) / len(y)
    out = {"photos": len(y), "accuracy": ((p >= 0.5) == y).mean(), "ece": ece}
    out["false_alarms"] = (rest >= 0.5).mean()
    if len(cats):
        out |= {"recall": (cats >= 0.5).mean(), "auc": (cats[:, None] > rest).mean()}
    return {k: round(float(v), 4) for k, v in out.items()}


@torch.no_grad()
def save(net: Network, out: str, meta: dict) -> None:
    """Write OUT.npz: the folded convolutions in float16, and `meta`."""
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
    np.savez(f"{out}.npz", meta=np.array(json.dumps(meta)), **arrays)


def main() -> None:
    """Read the options, learn, print the held-out figures, write the files."""
    option = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = option.add_argument
    add("--photos-train", type=Path, default=Path("datasets/photos_train.h5"))
    add("--photos-more", type=Path, default=Path("datasets/photos_more"))
    add("--course", type=Path, default=Path("datasets/course/train_catvnoncat.h5"))
    add("--epochs", type=int, default=60)
    add("--seed", type=int, default=1)
    add("--hold-sources", nargs="*", default=HOLD_SOURCES)
    add("--hold-kinds", nargs="*", default=HOLD_KINDS)
    add("--hold-share", type=float, default=HOLD_SHARE)
    add("--out", default="features", help="file name without .npz")
    args = option.parse_args()
    torch.set_num_threads(2)
    torch.manual_seed(args.seed)
    np.random.seed(args.seed)
    photos, sha256 = load(args.photos_train, args.photos_more)
    part = split(photos, args.hold_sources, args.hold_kinds, args.hold_share)
    net = learn(photos, part, args.epochs, f"{args.out}.pt")
    held = {n: (photos.x[part == n], photos.y[part == n]) for n in sorted(set(part) - {"train"})}
    with h5py.File(args.course) as f:
        held["course's training set"] = (f["train_set_x"][:], f["train_set_y"][:].ravel())
    result = {name: figures(probabilities(net, x), y) for name, (x, y) in held.items()}
    for name, row in result.items():
        print(f"{name:22s}", " ".join(f"{k} {v:g}" for k, v in row.items()))
    settings = {k: v for k, v in vars(args).items() if k != "out" and not isinstance(v, Path)}
    save(net, args.out, {"settings": settings, "sha256": sha256, "figures": result})


if __name__ == "__main__":
    main()
