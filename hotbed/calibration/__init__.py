"""`hotbed calibrate`: profiles of this machine from what was measured on it."""
