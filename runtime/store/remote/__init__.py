"""Checkpoints that lie elsewhere: fetched over fsspec in pieces, resumed, checked."""
