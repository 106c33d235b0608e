"""`python -m incident_engine`."""

from incident_engine.cli import main

main()
