"""The file formats of traces: one module for each, each giving or taking a `Workload`."""
