"""`python -m mura_jobs` is the command `mura-jobs`."""

import sys

from mura_jobs.cli import main

sys.exit(main())
