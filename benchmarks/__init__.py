"""Ratios against the peers, each measured in one run; see ``python -m benchmarks``."""
