"""`hotbed compare` and `capacity`: many runs, kept on disk, side by side."""
