"""What can be wrong with a catalogue: the file as a whole, or one row of it."""


class CatalogueError(ValueError):
    """The file as a whole cannot be used.

    The message is a full sentence that says what is wrong and what to do. It names no path of the server
    and no library, so it may be shown to the client as it is.
    """


class RowError(ValueError):
    """One row cannot be used; the message is the reason, told to the person who made the file."""
