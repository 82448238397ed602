"""What operators do to whole stores: carry an embedded deployment into a cluster, and go on after a restore.

Both work offline, beside no other process, and check what they did: row by row, and by replaying the log.
"""
