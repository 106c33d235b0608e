"""The HTTP server: API, action links, documentation and metrics."""
