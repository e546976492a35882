"""Questions put to a journal: why, what if, what differs, and a timeline to look at."""
