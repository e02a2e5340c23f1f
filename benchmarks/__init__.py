"""Ratios against peers, each measured in one interleaved run. ``make bench`` writes docs/results.json and .md."""
