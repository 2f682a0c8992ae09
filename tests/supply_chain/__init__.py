"""What is known against what is locked: pip-audit asks a made-up service of advisories."""
