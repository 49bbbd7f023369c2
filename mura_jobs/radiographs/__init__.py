"""Radiographs: where they come from, how they are cleaned, and the packed form in which stages read them."""
