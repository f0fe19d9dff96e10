"""Jobs that are submitted when their time comes, by beat."""
