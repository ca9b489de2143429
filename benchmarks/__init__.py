"""Numbers that documents and limits refer to; run by ``make bench``."""
