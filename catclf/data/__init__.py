"""Labelled images, in whatever form they come, as a `Dataset`."""
