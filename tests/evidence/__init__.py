"""Controls: runs whose right answer is known, and whether the pipeline finds it."""
