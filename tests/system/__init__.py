"""The whole system as its users see it: real processes, a real broker, real sockets."""
