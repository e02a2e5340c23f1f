import sys

from darkroom.im2rec.command import main

sys.exit(main(sys.argv[1:]))
