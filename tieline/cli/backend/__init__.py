"""Commands over the backend's API: who is there, who has to go, and what is to be said to them.

They ask as an application's backend does (`tieline.api`), at `TIELINE_API_URL` with `TIELINE_API_KEY`.
"""
