"""What runs on real machines: the checkpoint store, loaders behind one interface, and their benchmarks."""
