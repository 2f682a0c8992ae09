"""How any Tieline process lives: settings, the broker, metrics, logs, health. Knows nothing of signaling."""
