"""The channels that messages are sent over: one module a channel."""
