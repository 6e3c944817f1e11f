"""Processes for tests that need several of them: copies of one that has read the large libraries once."""

from __future__ import annotations

import multiprocessing

#: Of a pytest process there is one such process at most, whoever asks first; so it reads what all of them need.
COPIES = multiprocessing.get_context("forkserver")
COPIES.set_forkserver_preload(
    ["haneul.train.sharded", "hypothesis", "diffusers.models.transformers.transformer_wan", "haneul.cli.video"]
)
