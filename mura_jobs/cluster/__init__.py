"""A run on a cluster: the launcher of several processes, the driver that opens stages, and what watches over them."""
