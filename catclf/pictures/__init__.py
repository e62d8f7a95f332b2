"""Figures, models and lessons as pictures and pages."""
