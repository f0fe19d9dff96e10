"""What could live outside of this repository: each package here knows nothing of the application."""
