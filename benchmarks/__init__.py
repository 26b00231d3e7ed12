"""Measurements. A benchmark prints what it measured, of every contender in the same run, and
asserts nothing. Each is a module: ``python -m benchmarks.replay --help``.
"""

from __future__ import annotations


class Refused(Exception):
    """What a benchmark was asked and cannot do. Its text tells the user; exit status 2."""
