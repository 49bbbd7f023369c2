"""Weights to start a training from: our own, or published pickles, of which no code is run."""
