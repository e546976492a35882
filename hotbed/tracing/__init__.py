"""`hotbed traces`: list, describe, convert, synthesise, fetch."""
