"""MXNet's im2rec.py by path: put this file where a recipe says ``python im2rec.py …``, and nothing else changes.

It needs no MXNet, only an environment that has darkroom.
"""

import sys

from darkroom.im2rec.command import main

sys.exit(main(sys.argv[1:], "im2rec.py"))
