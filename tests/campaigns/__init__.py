"""Campaigns: the system under load, kills and a moved clock. In short form part of the tests, in full by `make`."""

import multiprocessing

forks = multiprocessing.get_context("forkserver")
"""Where campaigns get their processes from: forked from one that has loaded what takes longest to load."""
forks.set_forkserver_preload(["tests.campaigns.preloaded"])
