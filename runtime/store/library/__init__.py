"""A folder of checkpoints on this machine, by name: brought in, listed, taken away."""
