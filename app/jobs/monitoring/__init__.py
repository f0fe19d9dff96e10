"""How the service's host and the operator's targets are doing: measured, kept, and reduced to a few figures."""
