"""What stays in a cache and what leaves it, on every tier."""
