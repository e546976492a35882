"""The checkpoint format: an index and aligned data files; what goes in and out of it."""
