"""One module per stage: `run` reads the inputs, calls the floors below and writes the output.

A stage's arguments are read off the signature of its `run`: `settings` is `--settings`, paths are files, `out` and what
else `cli.OUTPUTS` lists are written, and `made_by` is the provenance to write into them.
"""
