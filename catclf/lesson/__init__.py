"""The lesson: its two ways to compute one gradient, and a walk through its sections.

`sections.SECTIONS` is the walk; it is imported from there, so that the forms alone stay light.
"""

from catclf.lesson.gradients import gradient_loops, gradient_vectorized

__all__ = ["gradient_loops", "gradient_vectorized"]
