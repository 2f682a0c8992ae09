"""What may be asked of the API: a module for each kind of thing, listed in `api.app`."""
