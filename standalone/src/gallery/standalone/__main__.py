"""``python -m gallery.standalone``."""

import sys

from gallery.standalone.main import main

sys.exit(main())
