"""Damaged and hostile files, made by the thousand, for every reader of files.

``python -m tests.fuzz`` says how; SECURITY.md says what is promised.
"""
