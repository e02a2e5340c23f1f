"""Runs inside a client's environment: executes a notebook in place. ``python kernel.py NOTEBOOK FOLDER SECONDS``."""

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

path, folder, seconds = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
notebook = nbformat.read(path, as_version=4)
client = NotebookClient(notebook, timeout=seconds, kernel_name="python3", resources={"metadata": {"path": folder}})
try:
    client.execute()
except CellExecutionError as error:
    print(str(error)[-6000:], file=sys.stderr)
    sys.exit(1)
finally:
    nbformat.write(notebook, path)
