"""Processes for tests that need several of them: copies of one that has read the large libraries once."""

from __future__ import annotations

import multiprocessing

#: What they need: there is one process to copy in each pytest process, begun by whoever asks first.
READ = (
    "haneul.train.sharded haneul.cli.video hypothesis tiny_open diffusers.models.transformers.transformer_wan".split()
)
COPIES = multiprocessing.get_context("forkserver")
COPIES.set_forkserver_preload(READ)
