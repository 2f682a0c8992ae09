"""`tieline call`: real WebRTC peers that call each other, or answer whoever calls."""
