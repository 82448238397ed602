"""Objectives, recording rules and alerts: what Prometheus computes, and when somebody is to act.

One source: `rules/groups.py` gathers what the other modules define; `veltrix.observability.provisioning`
writes it out for Prometheus, and `veltrix cluster up` loads the very same.
"""
