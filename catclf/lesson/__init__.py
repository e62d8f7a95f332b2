"""The lesson, told section by section on images of one's own, every figure computed.

A section is a function that yields blocks: text, formulas, tables and charts, which
`catclf lesson` prints, or `catclf.pictures.lesson_page` puts on a page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from catclf.lesson.binary_classification import images_as_columns, predictions
from catclf.lesson.chain_rule import backward_graph, forward_graph, logistic_graph
from catclf.lesson.loops_and_vectors import compare_gradients, loop_over_examples, vectorized_step
from catclf.lesson.loss_and_descent import losses, one_parameter
from catclf.lesson.material import Block, Material


class Section(NamedTuple):
    """A section: the number that the lesson has for it, its title, and what tells it."""

    number: str
    title: str
    tell: Callable[[Material], Iterator[Block]]

    @property
    def source(self) -> str:
        """Say where it comes from."""
        return f"section {self.number} of the lesson" if self.number else "beyond the lesson"


SECTIONS = (
    Section("1.1", "Images as columns of numbers", images_as_columns),
    Section("1.2", "Logistic regression", predictions),
    Section("1.3", "Loss and cost", losses),
    Section("2", "Gradient descent", one_parameter),
    Section("3.1", "Computation graph, forward", forward_graph),
    Section("3.2", "Computation graph, backward", backward_graph),
    Section("4", "Logistic regression as a graph", logistic_graph),
    Section("4", "The loop over m examples", loop_over_examples),
    Section("5", "Vectorization", vectorized_step),
    Section("", "Gradient check", compare_gradients),
)
