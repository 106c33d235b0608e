"""What the bank says of itself: config.yaml as typed settings."""
