"""The classifier: what each arm trains on, the networks, training, and scoring of stored weights."""
