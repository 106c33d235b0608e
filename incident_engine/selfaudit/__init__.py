"""The daemon looks at itself: what is late, dead, stuck or out of step, told without the parts that may be broken."""
