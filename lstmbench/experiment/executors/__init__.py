"""Where the cells of a sweep are run other than one after the other here."""
