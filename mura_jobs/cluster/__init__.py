"""A run on a cluster: the launcher of several processes, the driver of stages, preflight and status."""
