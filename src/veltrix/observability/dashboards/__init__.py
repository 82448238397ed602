"""Dashboards as data: what each panel asks, what is good about it, and where to go when it is not.

The modules here know nothing of Grafana. `grafana.py` alone writes them out for it, by way of its SDK, which
only development needs: what it writes is committed below deploy/grafana/dashboards.
"""
