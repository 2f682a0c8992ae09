"""Where the API is found."""

from tieline.api.variables import API_KEY_VARIABLE, API_URL_VARIABLE


def test_the_variables_are_called_as_the_manual_has_it() -> None:
    assert (API_URL_VARIABLE, API_KEY_VARIABLE) == ("TIELINE_API_URL", "TIELINE_API_KEY")
