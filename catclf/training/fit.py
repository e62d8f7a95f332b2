"""What training comes to."""

from __future__ import annotations

from dataclasses import dataclass

from catclf.logistic import Array


@dataclass(frozen=True)
class Fit:
    """Parameters of K regressions, and how they were reached.

    Attributes
    ----------
    w : float64 (n_x, K)
    b : float64 (K, 1)
    Z : float64 (K, m)
        The final scores of all m examples under each regression.
    costs : list of (iteration, cost in nats)
        Of the first regression: every 100 iterations of descent, every step of Newton's method.
    J : float
        Its cost in the end, in nats.
    v : float64 (size, K)
        w in the coordinates in which it was found, from where a neighbouring problem can start.
    """

    w: Array
    b: Array
    Z: Array
    costs: list[tuple[int, float]]
    J: float
    v: Array
