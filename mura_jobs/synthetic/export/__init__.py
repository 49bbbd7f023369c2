"""Packed data sets as PNG files for other tools, every file saying what it is and where it comes from."""
