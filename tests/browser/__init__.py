"""The web client in real Chromium, with fake microphones, through real systems."""
