"""How many instances a model should have."""
