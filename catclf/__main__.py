"""``python -m catclf`` is the ``catclf`` command."""

from catclf.cli import main

if __name__ == "__main__":
    main()
