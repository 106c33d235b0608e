"""Kill the daemon a thousand times under load, and check after each kill that nothing is lost or done twice.

    python benchmarks/crash.py --kills 1000 --seed 1

The load and the checks are those of the tests (tests/support), which run a few kills of the same kind.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from support.kill_series import main

if __name__ == "__main__":
    sys.exit(main())
