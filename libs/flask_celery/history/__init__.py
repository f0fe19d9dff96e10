"""What becomes of a job, as it is told to those who follow it: its events and its log."""
