"""``python -m catclf`` is the ``catclf`` command."""

from catclf.cli import run

if __name__ == "__main__":
    run()
