"""`python -m deploy.asyncapi`: write docs/asyncapi.json: `make asyncapi`."""

from deploy.asyncapi.document import PATH, as_json
from tieline.cli.options import option_parser

if __name__ == "__main__":
    option_parser("python -m deploy.asyncapi", __doc__).parse_args()
    PATH.write_text(as_json(), encoding="utf-8")
