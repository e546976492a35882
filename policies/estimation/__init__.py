"""How long loads are believed to take before they happen."""
