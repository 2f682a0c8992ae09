"""Who may connect: tokens, the keys that verify them, origins, addresses, and the HTTP upgrade itself."""
