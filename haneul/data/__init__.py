"""From rendered or ingested clips to what training reads: shards, the rights ledger, cached latents."""
