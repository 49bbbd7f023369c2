"""The report: what the experiment shows, with its uncertainty, on one self-contained page."""
