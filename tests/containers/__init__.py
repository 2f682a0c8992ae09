"""The whole system in containers, as `deploy/` builds and configures it: clients come by a load balancer."""

import os

# Ryuk, which testcontainers starts to clean up behind killed runs, is an image that must be pulled.
os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")
