# SPDX-License-Identifier: MIT
"""A model of a caufs mount, and what runs sequences of operations on both.

state.py: reports, versions, uploads, and what a commit does: docs/semantics.md in Python.
operations.py: what each system call answers, and how it changes that state.
matching.py: whether an answer is one that the model allows.
workers.py: processes that do one operation at a time, when told to.
sequences.py: makes sequences of operations, and makes one that shows a difference short.
driver.py: runs a sequence on a mount and on the model, and compares each answer.
"""
