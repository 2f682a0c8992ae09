"""The backend's API over HTTP, as both its ends know it.

What goes over the line is in `bodies`, what a caller may do in `scopes`. The service that answers is `api/`.
"""
