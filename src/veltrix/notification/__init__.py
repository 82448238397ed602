"""Notification: turns committed facts into notices, one for each person and channel, and gets them delivered.

The planner follows the facts and records what is owed; the dispatcher claims what is due, writes the
mail and hands it to a channel. Neither keeps personal data: it is in the boxes until a mail is written.
"""
