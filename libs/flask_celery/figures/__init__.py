"""What an operator wants to see of a deployment as a whole, whichever process is asked."""
