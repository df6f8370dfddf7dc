"""Experiments: a challenger beside the live release, who met which, what came of it, and what may be said about it."""
