"""How word goes out: claim, send, record; one channel a file."""
