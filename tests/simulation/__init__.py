"""The whole engine under a virtual clock, in a random world that a seed decides."""
