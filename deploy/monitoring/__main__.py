"""`python -m deploy.monitoring`: write the dashboard and the PrometheusRule: `make dashboards`."""

from deploy.monitoring.generated import FILES
from tieline.cli.options import option_parser

if __name__ == "__main__":
    option_parser("python -m deploy.monitoring", __doc__).parse_args()
    for path, content in FILES.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content())
