"""Synthetic radiographs: drawn from a trained generator one seed each, gated, and packed like real ones."""
