"""Who is let in: asked once, when a request arrives."""
