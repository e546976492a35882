"""Host memory that outlives loads: one region of large pages, its books, and who may see it."""
