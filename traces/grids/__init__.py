"""Many cells of one experiment: who wins where, and how much load each bears."""
