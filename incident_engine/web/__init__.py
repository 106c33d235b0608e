"""What is seen over HTTP: the API, its documentation and the metrics."""
