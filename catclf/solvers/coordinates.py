"""Two coordinate systems for the same training, behind the same few operations.

Training from zero keeps w in the span of the columns of X: w = Xc. With the Gram matrix
G = XᵀX (m, m), computed once,

    Z = wᵀX + b = cᵀG + b    and    dw = X dZᵀ  becomes  dc = dZᵀ,

so that a step costs m² products in place of 2·n_x·m, and the iterates are the very same. This is
the kernel form of a linear model (Schölkopf, Herbrich & Smola 2001, "A generalized representer
theorem").

Newton's method solves, for a step s of w and the bias together, H s = −g. With the slopes
dZ = sample_weight (A − Y) and the curvatures D = sample_weight A (1 − A) of the objective in z,
g = X dZᵀ + λw and H = X D Xᵀ + λI for w alone.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from catclf import logistic
from catclf.common.threads import for_products
from catclf.errors import ParameterError
from catclf.logistic import Array
from catclf.solvers.examples import Examples, curvature, gradient, hessian, hessian_product

SMALL = 2048
"""Up to so many features Newton's n_x × n_x system is solved rather than iterated on."""
MAX_CG_STEPS = 1000

Point = tuple[Array, Array]
"""v (size, K) and b (K, 1): parameters, a gradient or a step, in some coordinates."""


class Objective(NamedTuple):
    """What K regressions minimise: J = Σᵢ sample_weightᵢ L(zᵢ, yᵢ) + (λ/2)‖w‖².

    The bias is not penalised.

    Attributes
    ----------
    Y : float64 (1, m)
        Labels, 0 or 1.
    sample_weight : float64 (K, m)
        What each example counts in each regression, adding up to 1; 1/m everywhere is the lesson.
    l2 : float
        λ of the penalty.
    """

    Y: Array
    sample_weight: Array
    l2: float = 0.0


class Primal:
    """The weights themselves: v is w, and b the bias. The examples are gone through in blocks.

    In any coordinates v (size, K) and b (K, 1) stand for K regressions; gradients and steps have
    the same form.
    """

    name = "primal"

    def __init__(self, examples: Examples) -> None:
        self.examples = examples
        self.size = examples.n_x
        self.solves = self.size <= SMALL

    def forward(self, v: Array, b: Array) -> Array:
        """Score the examples: Z (K, m)."""
        return self.examples.forward(v, b)

    def gradient(
        self, v: Array, b: Array, objective: Objective, *, cost: bool = True
    ) -> tuple[Array, Array, Array]:
        """Give the penalised cost J (K,) and its gradient dv, db, in one pass over the examples.

        Without `cost`, J is to be ignored.
        """
        Y, sample_weight, l2 = objective
        sums, dv, db = self.examples.add_up(gradient, Y, sample_weight, v, b, cost)
        J: Array = sums[:, 0]
        if l2:
            J = J + l2 * self.penalty(v) if cost else J
            dv = dv + l2 * v
        return J, dv, db

    def penalty(self, v: Array) -> Array:
        """Give ‖w‖²/2 of each regression, (K,)."""
        halves: Array = 0.5 * np.sum(v * v, axis=0)
        return halves

    def inner(self, one: Point, other: Point) -> float:
        """Give the inner product of two points of a single regression, as vectors of w and bias."""
        return float(np.vdot(one[0], other[0]) + np.vdot(one[1], other[1]))

    def newton_step(
        self, v: Array, b: Array, objective: Objective, g: Point, relative_norm: float
    ) -> Point:
        """Give Newton's step from v and b, for a single regression.

        g is the gradient there, and relative_norm its norm over that at zero: where the step is
        iterated to, it need not be more exact than that asks for.
        """
        if not self.solves:
            return self._iterate(v, b, objective, g, relative_norm)
        Y, sample_weight, l2 = objective
        XDX, XD, D = self.examples.add_up(hessian, Y, sample_weight, v, b)
        n_x = self.size
        H = np.empty((n_x + 1, n_x + 1))
        H[:n_x, :n_x] = XDX
        H[np.arange(n_x), np.arange(n_x)] += l2
        H[:n_x, n_x] = H[n_x, :n_x] = XD[:, 0]
        H[n_x, n_x] = D[0, 0]
        step = np.linalg.solve(H, -np.vstack(g)).astype(np.float64, copy=False)
        return step[:-1], step[-1:]

    def _iterate(
        self, v: Array, b: Array, objective: Objective, g: Point, relative_norm: float
    ) -> Point:
        """Iterate by conjugate gradients: a pass for each product with H, and no matrix but X.

        They stop early while the gradient is still large (Dembo, Eisenstat & Steihaug 1982,
        "Inexact Newton methods").
        """
        Y, sample_weight, l2 = objective
        r = -np.vstack(g)
        s, p = np.zeros_like(r), r
        squared = float(np.vdot(r, r))
        enough = min(0.1, np.sqrt(relative_norm)) ** 2 * squared
        for _ in range(MAX_CG_STEPS):
            point = v, b, p[:-1], p[-1:]
            Xu, u = self.examples.add_up(hessian_product, Y, sample_weight, *point)
            Hp = np.vstack([Xu + l2 * p[:-1], u])
            t = squared / float(np.vdot(p, Hp))
            s, r = s + t * p, r - t * Hp
            before, squared = squared, float(np.vdot(r, r))
            if squared <= enough:
                break
            p = r + (squared / before) * p
        return s[:-1], s[-1:]

    def parameters(self, v: Array, b: Array) -> tuple[Array, Array]:
        """Turn v and b into the regressions' w (n_x, K) and bias (K, 1)."""
        return v, b


class Gram:
    """One number for each example: v is c, and w is Xc. Its methods are those of `Primal`.

    The bias is the weight of one more feature, always 1, so that the span holds it as well: G is
    XᵀX + 1, and the bias is Σc + b. In descent b stays 0 but for a penalty, which spares the bias:
    where it shrinks c, b makes up for what Σc loses.

    Parameters
    ----------
    X : float64 (n_x, m)
    G : float64 (m, m), optional
        XᵀX + 1, if it is known.
    """

    name = "gram"
    solves = True

    def __init__(self, X: Array, G: Array | None = None) -> None:
        self.X = X
        self.size = X.shape[1]
        self.G: Array = np.dot(X.T, X) + 1.0 if G is None else G

    def forward(self, v: Array, b: Array) -> Array:
        return logistic.forward(v, b, self.G)

    def gradient(
        self, v: Array, b: Array, objective: Objective, *, cost: bool = True
    ) -> tuple[Array, Array, Array]:
        Y, sample_weight, l2 = objective
        Z = self.forward(v, b)
        dv = (sample_weight * (logistic.sigmoid(Z) - Y)).T
        J, db = np.zeros(len(Z)), np.zeros((len(Z), 1))
        if cost:
            J = np.sum(sample_weight * logistic.loss(Z, Y), axis=1)
        if l2:
            J = J + l2 * self.penalty(v) if cost else J
            dv = dv + l2 * v
            db = -l2 * v.sum(axis=0)[:, None]
        return J, dv, db

    def penalty(self, v: Array) -> Array:
        halves: Array = 0.5 * (np.sum(v * np.dot(self.G, v), axis=0) - v.sum(axis=0) ** 2)
        return halves

    def inner(self, one: Point, other: Point) -> float:
        (u, a), (v, b) = one, other
        product: Array = np.vdot(u, np.dot(self.G, v) + b) + a * (v.sum() + b)
        return float(product.item())

    def newton_step(
        self, v: Array, b: Array, objective: Objective, g: Point, relative_norm: float
    ) -> Point:
        """Solve an m × m system.

        With K = XᵀX, S = √D and q = dZ + λc, the step for c and the bias β solves

            D (K dc + dβ) + λ dc = −q   and   Σ (dZ + D (K dc + dβ)) = 0.

        With dc = S y − q/λ the first becomes (SKS + λI) y = S (Kq/λ − dβ), which is symmetric, and
        positive however small D is; then the second gives dβ.
        """
        _, sample_weight, l2 = objective
        q = g[0]
        S = np.sqrt(curvature(logistic.sigmoid(self.forward(v, b)), sample_weight)).T
        Kq = np.dot(self.G, q) - q.sum()
        SKS = self.G - 1.0
        SKS *= S
        SKS *= S.T
        SKS[np.diag_indices_from(SKS)] += l2
        y = np.linalg.solve(SKS, np.hstack([S * Kq / l2, S]))
        sum_dZ = q.sum() + g[1]
        bias = (np.vdot(S, y[:, 0]) - sum_dZ / l2) / np.vdot(S, y[:, 1])
        dc = S * (y[:, :1] - bias * y[:, 1:]) - q / l2
        return dc, bias - dc.sum()

    def parameters(self, v: Array, b: Array) -> tuple[Array, Array]:
        return np.dot(self.X, v), v.sum(axis=0)[:, None] + b


Coordinates = Primal | Gram

GRAM_SPEEDUP = 16
"""How many times faster a product is inside XᵀX than inside wᵀX, which waits for memory.

`python -m benchmarks gram` prints it: less where X stays in the cache, where Gram coordinates are
far ahead all the same; this much where X does not, as where the choice is close.
"""
PRIMAL_ELEMENT = 3.0
"""A number in X costs so many times as much in a primal step as a number in G in one of Gram's.

A primal step takes two products with X. `python -m benchmarks gram` prints it, divided by the
threads: it differs with the kernels of the BLAS.
"""
NEWTON_STEPS = 10
"""Newton's method takes about so many steps."""
CG_PASSES = 8
"""A step by conjugate gradients takes about so many passes, forward and backward."""


def cheaper(n_x: int, m: int, steps: int, newton: bool = False) -> str:
    """Say in which coordinates, primal or gram, so many steps on X (n_x, m) take less work.

    Gram costs n_x·m² products once, at GRAM_SPEEDUP, and m² a step; primal PRIMAL_ELEMENT·n_x·m a
    step, shared out to threads. A step of Newton's takes some more of these, and solves a system.
    """
    gram: float = m * m
    primal = PRIMAL_ELEMENT * n_x * m / for_products()
    if newton:
        gram = 8 * gram + m**3 / GRAM_SPEEDUP
        if n_x > SMALL:
            primal *= CG_PASSES
        else:
            primal = 2 * primal + n_x * n_x * (n_x + m) / GRAM_SPEEDUP
    return "gram" if n_x * m * m / GRAM_SPEEDUP + steps * gram < steps * primal else "primal"


def choose(
    examples: Examples, steps: int, coordinates: str = "auto", newton: bool = False
) -> Coordinates:
    """Build the coordinates asked for; "auto" are the cheaper ones for so many steps in all.

    Gram coordinates need X and XᵀX in memory, and are not chosen where they do not fit, nor for
    descent on a cluster: there the passes of primal ones are shared.

    Raises
    ------
    ParameterError
        If gram coordinates are asked for, and do not fit into memory.
    """
    n_x, m = examples.n_x, examples.m
    size = 8.0 * (n_x * m + 3 * m * m)
    if coordinates == "gram" and size > examples.memory:
        raise ParameterError(
            f"gram coordinates of {m} examples take {size / 1e6:.4g} MB, more than the "
            f"{max(examples.memory, 0) / 1e6:.4g} MB that may be used; leave them out, or raise "
            "--memory"
        )
    if coordinates == "auto":
        possible = size <= examples.memory and (newton or not examples.remote)
        coordinates = cheaper(n_x, m, steps, newton) if possible else "primal"
    return Gram(examples.matrix()) if coordinates == "gram" else Primal(examples)
