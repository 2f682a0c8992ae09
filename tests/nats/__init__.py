"""The NATS configuration that is shipped (`deploy/nats`): the system runs with it, and allows no more."""
