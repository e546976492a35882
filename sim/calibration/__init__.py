"""Profiles from measurements: what fits them, and what the simulator then predicts."""
