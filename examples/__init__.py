"""Programs to read and to copy from: how Tieline stands under an application. None of them is installed."""
