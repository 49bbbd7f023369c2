"""How far generated images are from real ones: of features, and of generators."""
