"""What every stage shares: configuration, artifacts, events, shutdown, randomness, distribution."""
