"""`hotbed reproduce`: a paper's experiments again."""
