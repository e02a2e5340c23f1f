"""``python -m darkroom.compiler``: one compilation job, in the folder layout of a SageMaker container."""

import sys

if __name__ == "__main__":
    print("Compilation starts", flush=True)  # people see at once that their job runs: the engines take a second
    from darkroom.compiler.job import main

    sys.exit(main())
