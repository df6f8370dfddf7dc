"""Statistics of experiments: which of two releases gets more of what is measured, and from when on one may say so."""
