# SPDX-License-Identifier: MIT
"""What the tests share that build and run programs for minutes."""
import subprocess


def run(*command):
    """The output of a command that must succeed. When the test is ended, so is the command: it clears away what it made."""
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          encoding="utf-8", errors="replace") as process:
        try:
            output, _ = process.communicate()
        except BaseException:
            process.terminate()
            process.communicate()
            raise
    if process.returncode != 0:
        lines = [line for line in output.splitlines() if not line.startswith("[")]
        raise AssertionError(f"{command[0]} ended with {process.returncode}:\n" + "\n".join(lines[-200:]))
    return output
