"""Figures from labels and scores."""
