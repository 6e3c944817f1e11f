"""Imported by the fork server after preload.py: what makes videos (loaded.py)."""

from haneul.serve import loaded, worker  # noqa: F401

loaded.ahead(loaded.model)
