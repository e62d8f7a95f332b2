"""From examples X and labels Y to parameters w and b."""
