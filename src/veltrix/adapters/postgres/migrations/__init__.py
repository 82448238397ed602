"""The databases' schemas, as steps that only go forward: `platform` for the services, `vault` for the keys.

A step is plain SQL. What has been released is never edited; what it lacks is a step of its own.
"""
