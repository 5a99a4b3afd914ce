"""One module per stage: `run` reads the inputs, calls the floors below and writes the output.

The command line follows from the signature of `run`: `settings` is `--settings`, every path has a role (`base.roles`),
and `made_by` is the provenance to write into the outputs.
"""
