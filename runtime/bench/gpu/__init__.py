"""Measures a machine with a GPU in one command: links, loads, adapters, prefill and decode."""
