"""Imported by the fork server: what answers (loaded.py)."""

from haneul.serve import app, loaded  # noqa: F401

loaded.ahead(loaded.screen)
