"""Tests of the maths: every engine against plain Python loops."""
