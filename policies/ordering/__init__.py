"""Who is next: which waiting lane gets a slot, which unmet need gets capacity."""
