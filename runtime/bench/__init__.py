"""Benchmarks of what runs on real machines, and the form in which they are kept."""
