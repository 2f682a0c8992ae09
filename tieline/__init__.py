"""Tieline: the signaling backend for WebRTC voice calls."""

__version__ = "0.2.0.dev0"
