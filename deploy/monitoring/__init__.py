"""What operators look at, as code: the Grafana dashboard, and the alert rules as Kubernetes wants them.

`python -m deploy.monitoring` (`make dashboards`) writes the files that are committed; a test compares them.
"""
