"""Where commands and programs find the API: two variables of the environment. Pure."""

from typing import Final

API_URL_VARIABLE: Final = "TIELINE_API_URL"
API_KEY_VARIABLE: Final = "TIELINE_API_KEY"
