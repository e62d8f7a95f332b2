"""Everything that catclf raises on purpose; each kind has an exit code.

A message is one line: what went wrong, where, what was found, what was expected, and the remedy.
"""

from __future__ import annotations


class CatclfError(Exception):
    """An error that a user can meet and mend."""

    exit_code = 1


class ParameterError(CatclfError, ValueError):
    """A setting that makes no sense, or one under which training diverged."""

    exit_code = 2


class DataError(CatclfError):
    """A data set or an image that cannot be used."""

    exit_code = 3


class ImageError(DataError):
    """One image that cannot be read."""


class NotAnImageError(ImageError):
    """A file whose content is none of the image formats that are read."""


class CheckpointError(DataError):
    """A checkpoint that cannot be read, gone on from or written."""


class OutputError(CatclfError):
    """A picture or a page that cannot be written."""

    exit_code = 3


class ModelError(CatclfError):
    """A model file that cannot be read, used or written."""

    exit_code = 4


class ClusterError(CatclfError):
    """Workers that cannot be reached, or fail."""

    exit_code = 3
