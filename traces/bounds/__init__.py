"""What was possible at best, beside what happened."""
