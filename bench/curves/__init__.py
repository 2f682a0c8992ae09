"""`python -m bench.curves`: what becomes dearer when a system grows, and what does not, as curves.

`points` measures, `results` keeps what was measured and says what is missing, `drawing` makes pictures of it.
Each point has a system of its own, so that a run that was interrupted goes on where it was.
"""
