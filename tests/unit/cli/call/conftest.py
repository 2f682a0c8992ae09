"""aiortc is imported before any test: it runs programs to find libraries, and a unit test may run none."""

import importlib

importlib.import_module("aiortc")
