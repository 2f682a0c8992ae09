"""Write the generated files: `make dashboards`."""

from deploy.monitoring.generated import FILES

for path, content in FILES.items():
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content())
