"""What tells of the image: its SBOM, its provenance, and what is known against it."""
