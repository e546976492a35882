"""Commands that ask a journal: explain, rerun, diff, export, bounds."""
