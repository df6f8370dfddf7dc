"""How good recommendations are: held-out users, metrics, baselines, and the search for parameters."""
