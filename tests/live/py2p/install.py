"""Puts one exact release of py2p into a folder of its own, once, however many tests ask at the same time.

usage: install.py FOLDER VERSION

Ends with 0 when FOLDER holds that release and Python can import it from there. Otherwise the last
line on standard error says why. Only the first use needs a package index.
"""

import fcntl
import os
import shutil
import subprocess
import sys


def importable(folder, version):
    """Whether a fresh Python finds exactly this release in the folder."""
    question = (
        "import sys, typing; sys.path.insert(0, sys.argv[1]); import py2p; print(py2p.__version__); "
        "import cryptography.x509"
    )
    asked = subprocess.run([sys.executable, "-c", question, folder], capture_output=True, text=True)
    return asked.returncode == 0 and asked.stdout.strip() == version


def install(folder, version):
    """Installs beside the folder first: a run that is cut short must not leave half a package in it."""
    fresh = folder + ".fresh"
    shutil.rmtree(fresh, ignore_errors=True)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run(pip + ["--target", fresh, "py2p==" + version], check=True, stdout=sys.stderr)
    # What py2p makes its certificates with; it does not ask for it by itself.
    pip.remove("--no-deps")
    subprocess.run(pip + ["--target", fresh, "cryptography"], check=True, stdout=sys.stderr)
    shutil.rmtree(folder, ignore_errors=True)
    os.rename(fresh, folder)


def main(folder, version):
    os.makedirs(os.path.dirname(folder), exist_ok=True)
    # The kernel lets go of this lock when its owner dies, so no killed test run can leave it behind.
    with open(folder + ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.isdir(folder) or not importable(folder, version):
            install(folder, version)
        if not importable(folder, version):
            sys.exit("py2p " + version + " was installed, but this Python cannot import it")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except (OSError, subprocess.CalledProcessError) as why:
        sys.exit("py2p could not be installed: " + str(why))
