"""The whole program, from outside: real processes, real servers, the real clock."""
