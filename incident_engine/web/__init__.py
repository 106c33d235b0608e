"""Everything that is served over HTTP: the API, action links, documentation and metrics."""
