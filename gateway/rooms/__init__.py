"""The rooms that this gateway has members of: what their logs say, and how its members are told."""
