"""Generated shoulder radiographs in MURA's layout, whose findings and flaws are known."""
