"""The Annoy index: built, opened, re-ranked, and its recall measured."""
