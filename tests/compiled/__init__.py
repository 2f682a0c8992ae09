"""What is compiled, and the unit tests of that on it."""
