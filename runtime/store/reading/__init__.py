"""Reads files into memory that is already there, at the disk's speed."""
