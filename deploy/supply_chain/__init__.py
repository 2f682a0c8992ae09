"""What the image is made of, and how it was made: its SBOM, its provenance, and what is known against it.

`sbom` runs while the image is built, `image` builds it and says how (`provenance`), `audit` asks for
advisories; `locks` reads what they all go by. Nothing of it is in the image.
"""
