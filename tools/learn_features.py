"""Learn the small convolutional network whose last layer's input serves as features.

Data: the folder photos_96 (96x96 photos, labels, and a teacher's view of each: its probability
of a cat and the principal components of its features). Held out, for honest figures: whole
sources, breeds of cat, kinds of thing and a random share; see photo_sets.py.

Network: 3x3 convolutions with batch normalisation and ReLU, some with a residual add,
2x2 max pooling, one 1x1 convolution, the mean over positions. Two heads read the mean:
cat or not (logistic regression), and the teacher's components by squared error.
Start: the shipped network; its weights are scaled and batch normalisation is set so that it
computes the same (--scratch starts from random weights).
Schedule: bfloat16 products; Muon for the convolutions, AdamW for the rest; rates fall as a
cosine; the weights' moving average is kept. Photos are drawn so that small sources count.
Views: 64x64, cut from 96x96 at random scales, turned and coloured as in `augment`, and, but
for the final tenth of the time, erased boxes and boxes exchanged between photos (CutMix).

    python tools/learn_features.py --photos photos_96 --out models/features

A run that was stopped goes on from OUT.pt, and ends in the same bytes.
"""

from __future__ import annotations

import argparse
import math
import os
from pathlib import Path

import h5py
import numpy as np
import torch
import torch.nn.functional as F
from network import LAYERS, SCALE, SHIFT, Network, mix, save, start_from
from photo_sets import Photos, load, split
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

BATCH, VIEWS, DECAY, AVERAGE = 128, 72_000, 0.05, 0.998
PEAK_RATES = (0.016, 1.2e-3, 1.2e-3)  # of the convolutions, the heads, the normalisation
LABEL_SHARE, CUT_MIX = 0.7, 0.2


def augment(pixels: Tensor, erase: bool) -> Tensor:
    """Return network input (m, 3, 64, 64) of uint8 (m, 96, 96, 3): a view cut from each photo."""
    m = len(pixels)
    a = pixels.permute(0, 3, 1, 2).contiguous().float().div_(255)
    a = torch.lerp(a, F.avg_pool2d(a, 3, 1, 1), torch.rand(m, 1, 1, 1))  # as reducing blurs
    zoom = torch.empty(m).uniform_(-0.65, 0.12).exp()  # one resampling does all the geometry
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


def loss_of(
    outputs: tuple[Tensor, Tensor], label: Tensor, teacher: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the mean cross-entropy in nats, and the share of the teacher's variance left."""
    cat = F.binary_cross_entropy_with_logits(outputs[0], label)
    return cat, (outputs[1] - teacher).square().mean()


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


def chances(photos: Photos, train: np.ndarray, power: float) -> np.ndarray:
    """Return how likely each photo is drawn: n photos of a source share a chance of n ** power."""
    names = np.char.add(photos.source[train], photos.y[train].astype(str))
    _, group, size = np.unique(names, return_inverse=True, return_counts=True)
    chance = size[group] ** (power - 1)
    return chance / chance.sum()


def learn(photos: Photos, train: np.ndarray, args: argparse.Namespace) -> Network:
    """Train and return the moving average of the network."""
    x = torch.from_numpy(photos.x)
    soft = LABEL_SHARE * photos.y + (1 - LABEL_SHARE) * photos.probability
    label = torch.from_numpy(soft.astype(np.float32))
    teacher = photos.teacher - photos.teacher[train].mean(0)
    teacher = torch.from_numpy(teacher / np.sqrt(np.square(teacher[train]).mean()))
    chance = chances(photos, train, args.source_power)
    steps = VIEWS // BATCH

    seed(args.seed)
    net = Network(LAYERS, teacher.shape[1])
    if not args.scratch:
        start_from(net, args.start, augment(x[np.random.choice(train, 2048)], erase=False))
    net = net.to(memory_format=torch.channels_last)
    convs = [p for p in net.parameters() if p.ndim == 4]
    heads = {"params": [p for p in net.parameters() if p.ndim == 2], "weight_decay": DECAY}
    rest = {"params": [p for p in net.parameters() if p.ndim == 1], "weight_decay": 0.0}
    muon, adam = Muon(convs, {"lr": 0.0}), torch.optim.AdamW([heads, rest])
    average = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(AVERAGE), use_buffers=True)
    parts = {"net": net, "average": average, "muon": muon, "adam": adam}
    checkpoint, first = Path(f"{args.out}.pt"), 0
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True)
        if saved["settings"] != settings(args):
            raise SystemExit(
                f"{checkpoint}: of a run with other settings; remove it, or name another --out"
            )
        first = saved["epochs"]
        for name, part in parts.items():
            part.load_state_dict(saved[name])

    for epoch in range(first, args.epochs):
        seed(args.seed * 1000 + epoch)
        net.train()
        totals, final = np.zeros(2), epoch >= 0.9 * args.epochs
        order = np.random.choice(train, (steps, BATCH), p=chance)
        for i, rows in enumerate(map(torch.from_numpy, order)):
            done = (epoch + i / steps) / args.epochs
            rate = min(done / 0.02, 0.5 + 0.5 * math.cos(math.pi * done))
            for group, peak in zip(muon.param_groups + adam.param_groups, PEAK_RATES, strict=True):
                group["lr"] = rate * peak
            a = augment(x[rows], erase=not final)
            mix = not final and np.random.random() < CUT_MIX
            partner, own = cut_mix(a) if mix else (torch.arange(BATCH), 1.0)
            wanted = [own * t[rows] + (1 - own) * t[rows[partner]] for t in (label, teacher)]
            losses = loss_of(net(a), *wanted)
            loss = losses[0] + args.teacher_weight * losses[1]
            net.zero_grad()
            loss.backward()
            adam.step()
            muon.step()
            average.update_parameters(net)
            totals += [losses[0].item(), losses[1].item()]
        cat, left = totals / steps
        print(f"epoch {epoch + 1} cross-entropy {cat:.4f} teacher {1 - left:.1%}", flush=True)
        state = {name: part.state_dict() for name, part in parts.items()}
        torch.save(state | {"epochs": epoch + 1, "settings": settings(args)}, f"{args.out}.part")
        os.replace(f"{args.out}.part", checkpoint)
    return average.module


def settings(args: argparse.Namespace) -> dict[str, str | int | float | bool]:
    """Return the options that the result depends on."""
    return {k: v for k, v in vars(args).items() if k != "out" and not isinstance(v, Path)}


def seed(number: int) -> None:
    """Seed both generators."""
    torch.manual_seed(number)
    np.random.seed(number)


@torch.no_grad()
def probabilities(net: Network, x: np.ndarray, names: str = "whole, middle") -> np.ndarray:
    """Return the chance of a cat, from the mean logit of the views of these names."""
    net.eval()
    z = []
    for start in range(0, len(x), 256):
        a = torch.from_numpy(x[start : start + 256]).permute(0, 3, 1, 2).float()
        if a.shape[2] != 96:
            a = F.interpolate(a, (96, 96), mode="bilinear").round()
        whole = F.interpolate(a, (64, 64), mode="bilinear", antialias=True)
        middle = a[:, :, 16:80, 16:80]
        views = {"whole": whole, "middle": middle, "mirrored": whole.flip(3)}
        chosen = [views[name] for name in names.split(", ")]
        z.append(sum(net(view * SCALE + SHIFT)[0] for view in chosen) / len(chosen))
    return torch.sigmoid(torch.cat(z)).double().numpy()


def figures(p: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """Return accuracy, recall and false alarms at one half, log loss, AUC and ECE (10 bins)."""
    cats, rest = p[y == 1], p[y == 0]
    ece = sum(abs((p - y)[(p * 10).astype(int).clip(0, 9) == b].sum()) for b in range(10)) / len(y)
    out = {"photos": len(y), "accuracy": ((p >= 0.5) == y).mean(), "ece": ece}
    out["log_loss"] = -np.log(np.where(y == 1, p, 1 - p)).mean()
    if len(rest):
        out["false_alarms"] = (rest >= 0.5).mean()
    if len(cats):
        out["recall"] = (cats >= 0.5).mean()
    if len(cats) and len(rest):
        out["auc"] = (cats[:, None] > rest).mean()
    return {k: round(float(v), 4) for k, v in out.items()}


def main() -> None:
    """Read the options, learn, print the held-out figures, write the files."""
    option = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = option.add_argument
    add("--photos", type=Path, default=Path("photos_96"), help="the folder, unpacked")
    add("--course", type=Path, default=Path("datasets/course/train_catvnoncat.h5"))
    add("--start", type=Path, default=Path("models/features.npz"), help="network to start from")
    add("--scratch", action="store_true", help="start from random weights")
    add("--epochs", type=int, default=22, help="of 72,000 views")
    add("--teacher-weight", type=float, default=8.0)
    add("--source-power", type=float, default=0.6, help="1: photos count alike; 0: sources do")
    add("--keep-suspect", action="store_true", help="learn from photos with suspect labels too")
    add("--keep-start", type=float, default=0.0, help="share of the start's weights in the end")
    add("--seed", type=int, default=1)
    add("--threads", type=int, default=2)
    add("--out", default="features", help="file name without .npz")
    args = option.parse_args()
    torch.set_num_threads(args.threads)
    photos = load(args.photos)
    part = split(photos)
    net = learn(
        photos, np.flatnonzero((part == "train") & (args.keep_suspect | ~photos.suspect)), args
    )
    held = {n: (photos.x[part == n], photos.y[part == n]) for n in sorted(set(part) - {"train"})}
    held["all held out"] = (photos.x[part != "train"], photos.y[part != "train"])
    with h5py.File(args.course) as f:
        held["course's training set"] = (f["train_set_x"][:], f["train_set_y"][:].ravel())
    result = {name: figures(probabilities(net, x), y) for name, (x, y) in held.items()}
    for names in ("whole", "whole, mirrored"):
        p = probabilities(net, held["all held out"][0], names)
        result[f"all, by {names}"] = figures(p, held["all held out"][1])
    for name, row in result.items():
        print(f"{name:22s}", " ".join(f"{k} {v:g}" for k, v in row.items()))
    meta = {"settings": settings(args), "sha256": photos.sha256, "figures": result}
    save(net, args.out, meta)
    if args.keep_start:  # the figures are of before
        mix(args.start, args.out, args.keep_start)


if __name__ == "__main__":
    main()
