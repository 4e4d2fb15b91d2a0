"""The comparison page of rtvoice: sessions, votes, statistics and the server behind ``rtvoice compare``."""

__version__ = "0.1.0"
