"""`hotbed models`: the checkpoints of this machine."""
