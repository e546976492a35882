"""The checkpoint format: an index and aligned data files, and the formats that go in and out of it."""
