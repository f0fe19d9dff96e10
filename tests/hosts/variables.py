"""What a host is told by its environment; apart from the jobs, which who names these need not register."""

#: The folder that all hosts share.
FOLDER = "HOSTS_FOLDER"

#: The host's name.
HOST = "HOSTS_NAME"
