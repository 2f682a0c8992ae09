"""The command line: a module or a folder for each command, and what several commands share.

`dev` and `call` are folders. `exits`, `options`, `secret` and `ready_file` are used by several commands;
tokens are made by `tieline.tokens`, and load by `tieline.load`.
"""
