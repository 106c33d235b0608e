"""`python -m incident_engine`."""

from incident_engine.cli.app import main

main()
