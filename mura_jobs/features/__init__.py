"""Networks that turn radiographs into numbers: a logit, or features to compare data sets by."""
