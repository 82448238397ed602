"""The rules, version 1: one pure step for each kind of command."""
