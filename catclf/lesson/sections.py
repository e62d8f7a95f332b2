"""The lesson's sections, in its order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from catclf.lesson import check, data, descent, graphs, losses, vectors
from catclf.lesson.blocks import Block, Material


@dataclass(frozen=True)
class Section:
    """A section: the number that the lesson has for it, a title, and what tells it."""

    lesson: str
    title: str
    tell: Callable[[Material], Iterator[Block]]


SECTIONS = (
    Section("1.1", "Images as columns of numbers", data.images_as_columns),
    Section("1.2", "Logistic regression", data.predictions),
    Section("1.3", "Loss and cost", losses.losses),
    Section("2", "Gradient descent", descent.one_parameter),
    Section("3.1", "Computation graph, forward", graphs.forward_graph),
    Section("3.2", "Computation graph, backward", graphs.backward_graph),
    Section("4", "Logistic regression as a graph", graphs.logistic_graph),
    Section("4", "The loop over m examples", vectors.loop_over_examples),
    Section("5", "Vectorization", vectors.vectorization),
    Section("", "Gradient check", check.gradient_check),
)
