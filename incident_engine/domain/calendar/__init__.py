"""Service hours and public holidays."""
