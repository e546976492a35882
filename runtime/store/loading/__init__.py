"""From checkpoints to tensors on a device: the only part of the store that knows torch."""
