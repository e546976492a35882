"""What runs on real machines: the checkpoint store, loaders of one interface, benchmarks."""
