"""incident-engine: grades outages under codified regulations and drives what must be told to whom by when."""

__version__ = "0.1.0"
