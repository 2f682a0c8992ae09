"""Tieline: the signaling backend for WebRTC voice calls."""

__version__ = "0.1.0"
