"""Tests of the HTTP service and the sign-up page."""
