"""Publishers' own formats, told from their content and read."""
