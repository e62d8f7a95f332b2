"""The version of catclf, in a file of its own, so that nothing imports the whole for it."""

__version__ = "0.1.0"
