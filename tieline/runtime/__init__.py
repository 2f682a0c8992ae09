"""What every Tieline process needs: settings, the broker, metrics, logs, health. Knows nothing of signaling.

`process` runs a service and joins it to the broker (`broker`, over `nats_client` and `nats_parser`);
`requests` asks over it, `message` is what comes off it. `ops` serves `metrics` (and `fast_metrics`) and
health, `lag` measures the event loop, `garbage` keeps the collector from stopping it, `guard` keeps a bug
from ending more than its own work, `single_flight` does work once for all that ask for it meanwhile.
`settings` are read from the environment, `logs` are JSON.
"""
