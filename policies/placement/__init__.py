"""Where a new instance goes."""
