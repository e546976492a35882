"""Loaders of checkpoints behind one interface: the store's own, and others that one could pick."""
