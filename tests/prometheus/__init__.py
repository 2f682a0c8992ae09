"""Metrics, dashboard and alerts, tried with a real Prometheus that scrapes a running system."""
