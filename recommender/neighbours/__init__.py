"""The true nearest users of every pair of sign-up films, found without comparing everybody."""
