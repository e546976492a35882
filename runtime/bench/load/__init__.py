"""Benchmark of loads: this store's, and the other loaders', beside what the machine could give."""
