"""What the service does: one package a field of work, found by discovery."""
