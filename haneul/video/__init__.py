"""Frames in and out: reading, writing, enlarging and cutting video."""
