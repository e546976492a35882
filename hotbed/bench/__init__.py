"""`hotbed bench`: how fast the simulator and its policies are."""
