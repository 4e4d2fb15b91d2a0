"""``python -m rtvoice.bench``."""

import sys

from rtvoice.bench import main

sys.exit(main())
