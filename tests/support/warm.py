"""Real processes in milliseconds: each is forked from one that has imported everything already.

`python warm.py SOCKET` serves until its standard input ends. `programs` writes two scripts, `cotrain` and `snakemake`,
into a folder for PATH. A script passes its arguments, environment and open files to the server and exits with the exit
code of the program that the server forks for it. The process of that program is named after it.
"""

import array
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

SCRIPT = """#!{python} -ISE
import array, json, os, signal, socket, sys
server = socket.socket(socket.AF_UNIX)
server.connect({socket!r})
request = json.dumps([{program!r}, sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
server.sendmsg([len(request).to_bytes(8, "big")], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0, 1, 2]))])
server.sendall(request)
code = server.recv(1)
os._exit(code[0]) if code else os.kill(os.getpid(), signal.SIGKILL)
"""


@contextlib.contextmanager
def programs(folder: Path):
    """A folder for PATH with the warm `cotrain` and `snakemake`; yields it and the id of the serving process."""
    address = str(folder / "socket")
    server = subprocess.Popen([sys.executable, __file__, address], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    server.stdout.readline()  # it is ready
    for program in ("cotrain", "snakemake"):
        script = folder / "bin" / program
        script.parent.mkdir(exist_ok=True)
        script.write_text(SCRIPT.format(python=sys.executable, socket=address, program=program))
        script.chmod(0o755)
    try:
        yield folder / "bin", server.pid
    finally:
        server.stdin.close()
        server.wait()


def serve(address: str) -> None:
    _import_everything()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the children
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(address)
        listening.listen(64)
        print("ready", flush=True)
        parent = os.getppid()
        listening.settimeout(1)
        while os.getppid() == parent and not _ended(sys.stdin.fileno()):
            with contextlib.suppress(TimeoutError):
                client, _ = listening.accept()
                client.setblocking(True)
                if os.fork() == 0:
                    try:
                        listening.close()
                        _answer(client)
                    finally:
                        os._exit(1)
                client.close()


def _import_everything() -> None:
    import importlib

    from cotrain.cli import STAGES, run_of

    for stage in STAGES:
        run_of(stage)
    for module in (
        "segmentation_models_pytorch",
        "torchvision.transforms.v2",
        "cotrain.report.figures",
        "cotrain.procedure.plan",
    ):
        importlib.import_module(module)
    import snakemake.cli  # noqa: F401


def _ended(file: int) -> bool:
    import select

    return bool(select.select([file], [], [], 0)[0])


def _answer(client: socket.socket) -> None:
    """Become the program that the client asks for."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    length, ancillary, *_ = client.recvmsg(8, socket.CMSG_SPACE(3 * array.array("i").itemsize))
    request = b""
    while len(request) < int.from_bytes(length, "big"):
        request += client.recv(65536)
    program, arguments, folder, environment = json.loads(request)
    files = array.array("i", ancillary[0][2])
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    Path("/proc/self/comm").write_text(program)
    code = _run(program, arguments)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            stream.flush()
    client.sendall(bytes([code]))
    os._exit(0)


def _run(program: str, arguments: list[str]) -> int:
    import traceback

    sys.argv = [program, *arguments]
    try:
        if program == "snakemake":
            import snakemake.cli

            snakemake.cli.main(arguments)
            return 0
        from cotrain.cli import main

        return main(arguments)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1


if __name__ == "__main__":
    serve(sys.argv[1])
