"""What exists once for each client: its socket, its frames, its session, and what waits in and out."""
