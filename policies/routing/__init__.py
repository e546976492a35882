"""Which ready instance serves a request."""
