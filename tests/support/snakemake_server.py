"""Calls Snakemake once for each line of standard input, JSON of a folder and arguments; answers [exit code, output].

Each call is a fork of this process, so what Snakemake takes to import, longer than a dry run, is spent once.
"""

import json
import os
import sys
import tempfile

import snakemake.cli

import cotrain.procedure.plan
import cotrain.reruns.sharing  # noqa: F401 (imported by the Snakefile)


def call(folder: str, arguments: list[str]) -> int:
    """Exit code of one call; in the forked process."""
    os.chdir(folder)
    try:
        snakemake.cli.main(arguments)
    except SystemExit as end:
        return end.code
    return 0


for line in sys.stdin:
    folder, arguments = json.loads(line)
    with tempfile.TemporaryFile("w+") as output:
        if (child := os.fork()) == 0:
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
            try:
                code = call(folder, arguments)
            except BaseException as error:
                print(f"Traceback: {error!r}")
                code = 1
            sys.stdout.flush()
            os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        output.seek(0)
        print(json.dumps([code, output.read()]), flush=True)
