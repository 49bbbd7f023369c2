"""Cleaning: pure functions from a raw picture to the square one that is packed."""
